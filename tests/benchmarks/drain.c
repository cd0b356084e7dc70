/* The floor: drain a raw CAN socket's queue by recvmsg, one frame a call, with the kernel's time
 * stamp and drop count as ancillary data. Usage: drain INTERFACE COUNT; prints "ready", waits for
 * a line on standard input, drains COUNT frames, prints nanoseconds per frame. */
#include <linux/can.h>
#include <linux/can/raw.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>

static long long now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

int main(int argc, char **argv)
{
    if (argc != 3)
        return 2;
    int fd = socket(PF_CAN, SOCK_RAW, CAN_RAW), on = 1, room = 64 << 20;
    long count = atol(argv[2]);
    struct sockaddr_can address = {.can_family = AF_CAN, .can_ifindex = if_nametoindex(argv[1])};
    setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room);
    setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof on);
    setsockopt(fd, SOL_SOCKET, SO_RXQ_OVFL, &on, sizeof on);
    if (bind(fd, (struct sockaddr *)&address, sizeof address) < 0)
        return 1;
    puts("ready");
    fflush(stdout);
    getchar();
    unsigned long long sum = 0;
    long long start = now();
    for (long i = 0; i < count; i++) {
        struct canfd_frame frame;
        char control[128];
        struct sockaddr_can from;
        struct iovec vector = {&frame, sizeof frame};
        struct msghdr message = {&from, sizeof from, &vector, 1, control, sizeof control, 0};
        if (recvmsg(fd, &message, 0) < 0)
            return 1;
        for (struct cmsghdr *c = CMSG_FIRSTHDR(&message); c; c = CMSG_NXTHDR(&message, c)) {
            if (c->cmsg_type == SO_TIMESTAMPNS) {
                struct timespec stamp;
                memcpy(&stamp, CMSG_DATA(c), sizeof stamp);
                sum += stamp.tv_nsec;
            } else if (c->cmsg_type == SO_RXQ_OVFL) {
                unsigned dropped;
                memcpy(&dropped, CMSG_DATA(c), sizeof dropped);
                sum += dropped;
            }
        }
        sum += frame.can_id + from.can_ifindex;
    }
    printf("%lld\n", (now() - start) / count);
    fprintf(stderr, "%s", sum ? "" : "nothing\n");
    return 0;
}
