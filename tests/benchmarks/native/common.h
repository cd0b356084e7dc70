/* What the programs here have in common: clocks, raw CAN sockets, and what comes with a frame. */
#ifndef COMMON_H
#define COMMON_H

#define _GNU_SOURCE /* recvmmsg, sendmmsg */

#include <linux/can.h>
#include <linux/can/raw.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>

#define PATIENCE 60 /* seconds without a frame: some are lost, and the program ends */

static inline long long now(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static inline void fail(const char *what)
{
    perror(what);
    exit(1);
}

static inline void bind_to(int fd, const char *interface)
{
    struct sockaddr_can address = {
        .can_family = AF_CAN,
        .can_ifindex = if_nametoindex(interface),
    };
    if (!address.can_ifindex || bind(fd, (struct sockaddr *)&address, sizeof address) < 0)
        fail(interface);
}

/* A socket that receives as anycan's do: with the kernel's time stamp and drop count. */
static inline int open_receiver(const char *interface, int room)
{
    int fd = socket(PF_CAN, SOCK_RAW, CAN_RAW), on = 1;
    struct timeval patience = {.tv_sec = PATIENCE};
    setsockopt(fd, SOL_CAN_RAW, CAN_RAW_FD_FRAMES, &on, sizeof on);
    setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof on);
    setsockopt(fd, SOL_SOCKET, SO_RXQ_OVFL, &on, sizeof on);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room) < 0)
        fail("SO_RCVBUFFORCE");
    bind_to(fd, interface);
    return fd;
}

/* A socket that only sends. */
static inline int open_sender(const char *interface)
{
    int fd = socket(PF_CAN, SOCK_RAW, CAN_RAW);
    setsockopt(fd, SOL_CAN_RAW, CAN_RAW_FILTER, NULL, 0);
    bind_to(fd, interface);
    return fd;
}

static inline struct can_frame numbered_frame(long long number)
{
    struct can_frame frame = {.can_id = 0x123, .len = 8};
    memcpy(frame.data, &number, sizeof number);
    return frame;
}

struct reception {
    long long stamp; /* nanoseconds since the epoch */
    unsigned dropped;
};

static inline void read_control(struct msghdr *message, struct reception *reception)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c)) {
        if (c->cmsg_level != SOL_SOCKET)
            continue;
        if (c->cmsg_type == SO_TIMESTAMPNS) {
            struct timespec stamp;
            memcpy(&stamp, CMSG_DATA(c), sizeof stamp);
            reception->stamp = stamp.tv_sec * 1000000000LL + stamp.tv_nsec;
        } else if (c->cmsg_type == SO_RXQ_OVFL) {
            memcpy(&reception->dropped, CMSG_DATA(c), sizeof reception->dropped);
        }
    }
}

#define BATCH 64

/* Messages for recvmmsg, as many as one call gives. */
struct batch {
    struct mmsghdr headers[BATCH];
    struct iovec vectors[BATCH];
    struct canfd_frame frames[BATCH];
    struct sockaddr_can from[BATCH];
    char control[BATCH][128];
};

/* Prepare the first messages: all of them before the first call, and before the next ones those that
 * the last one has used, for the kernel writes its results where it wants to find the sizes. */
static inline void prepare_batch(struct batch *batch, int count)
{
    for (int i = 0; i < count; i++) {
        batch->vectors[i] = (struct iovec){&batch->frames[i], sizeof batch->frames[i]};
        batch->headers[i].msg_hdr = (struct msghdr){
            .msg_name = &batch->from[i],
            .msg_namelen = sizeof batch->from[i],
            .msg_iov = &batch->vectors[i],
            .msg_iovlen = 1,
            .msg_control = batch->control[i],
            .msg_controllen = sizeof batch->control[i],
        };
    }
}

/* Wait for a line on standard input; 0: it has ended. */
static inline int next_line(void)
{
    int letter;
    while ((letter = getchar()) != EOF)
        if (letter == '\n')
            return 1;
    return 0;
}

static inline void say_ready(void)
{
    puts("ready");
    fflush(stdout);
}

#endif
