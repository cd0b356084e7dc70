/* Forwards frames between two interfaces, both ways, until killed. Usage: forward INTERFACE INTERFACE
 * [drain|batch]. It waits by epoll, and then reads one frame of the socket that is readable and
 * writes it, as a simple forwarder does: three system calls a frame. With "drain" it reads and writes
 * until nothing waits, which is two. With "batch" it takes and sends by recvmmsg and sendmmsg, as
 * many as wait and at most BATCH a call: what a burst costs at the least. */
#define _GNU_SOURCE /* recvmmsg, sendmmsg */

#include <errno.h>
#include <linux/can.h>
#include <linux/can/raw.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define BATCH 64

/* Forward a frame; 0: none waits, -1: it cannot. */
static int forward_one(int from, int to)
{
    struct canfd_frame frame;
    ssize_t size = read(from, &frame, sizeof frame);
    if (size < 0)
        return errno == EAGAIN ? 0 : -1;
    return write(to, &frame, size) == size ? 1 : -1;
}

/* Forward what waits; 0: nothing more does, -1: it cannot. */
static int forward_batch(int from, int to)
{
    static struct canfd_frame frames[BATCH];
    static struct iovec vectors[BATCH];
    static struct mmsghdr headers[BATCH];
    static int used = BATCH;
    for (int i = 0; i < used; i++) { /* what the last call has written to, and all before the first */
        vectors[i] = (struct iovec){.iov_base = &frames[i], .iov_len = sizeof frames[i]};
        headers[i].msg_hdr = (struct msghdr){.msg_iov = &vectors[i], .msg_iovlen = 1};
    }
    int got = recvmmsg(from, headers, BATCH, MSG_DONTWAIT, NULL);
    used = got < 0 ? 0 : got;
    if (got < 0)
        return errno == EAGAIN ? 0 : -1;
    for (int i = 0; i < got; i++)
        vectors[i].iov_len = headers[i].msg_len;
    for (int sent = 0; sent < got;) {
        int taken = sendmmsg(to, headers + sent, got - sent, 0);
        if (taken < 0)
            return -1;
        sent += taken;
    }
    return got == BATCH;
}

int main(int argc, char **argv)
{
    if (argc < 3)
        return 2;
    int drain = argc > 3 && !strcmp(argv[3], "drain"), batch = argc > 3 && !strcmp(argv[3], "batch");
    int poll = epoll_create1(0), on = 1, sockets[2];
    for (int side = 0; side < 2; side++) {
        struct sockaddr_can address = {
            .can_family = AF_CAN,
            .can_ifindex = if_nametoindex(argv[1 + side]),
        };
        struct epoll_event event = {.events = EPOLLIN, .data.u32 = side};
        int one = sockets[side] = socket(PF_CAN, SOCK_RAW | SOCK_NONBLOCK, CAN_RAW);
        setsockopt(one, SOL_CAN_RAW, CAN_RAW_FD_FRAMES, &on, sizeof on);
        if (!address.can_ifindex || bind(one, (struct sockaddr *)&address, sizeof address) < 0 ||
            epoll_ctl(poll, EPOLL_CTL_ADD, one, &event) < 0) {
            perror("forward");
            return 1;
        }
    }
    for (;;) {
        struct epoll_event events[2];
        int ready = epoll_wait(poll, events, 2, -1);
        for (int i = 0; i < ready; i++) {
            int side = events[i].data.u32, more;
            do {
                more = batch ? forward_batch(sockets[side], sockets[!side])
                             : forward_one(sockets[side], sockets[!side]);
                if (more < 0) {
                    perror("forward");
                    return 1;
                }
            } while (more && (drain || batch));
        }
    }
}
