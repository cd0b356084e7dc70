/* Drain a raw CAN socket's queue by recvmsg, one frame a call, with the kernel's time stamp and
 * drop count as ancillary data. Usage: receive_each INTERFACE COUNT. It prints "ready"; for each
 * line on standard input it drains COUNT frames and prints how many nanoseconds that took. */
#include "common.h"

int main(int argc, char **argv)
{
    if (argc != 3)
        return 2;
    int fd = open_receiver(argv[1], 64 << 20);
    long count = atol(argv[2]);
    unsigned long long sum = 0;
    struct reception reception = {0};
    say_ready();
    while (next_line()) {
        long long start = now(CLOCK_MONOTONIC);
        for (long i = 0; i < count; i++) {
            struct canfd_frame frame;
            char control[128];
            struct sockaddr_can from;
            struct iovec vector = {.iov_base = &frame, .iov_len = sizeof frame};
            struct msghdr message = {
                .msg_name = &from,
                .msg_namelen = sizeof from,
                .msg_iov = &vector,
                .msg_iovlen = 1,
                .msg_control = control,
                .msg_controllen = sizeof control,
            };
            if (recvmsg(fd, &message, 0) < 0)
                fail("recvmsg");
            read_control(&message, &reception);
            sum += reception.stamp + frame.can_id + from.can_ifindex;
        }
        printf("%lld\n", now(CLOCK_MONOTONIC) - start);
        fflush(stdout);
    }
    if (reception.dropped || !sum) {
        fprintf(stderr, "%u frames were dropped\n", reception.dropped);
        return 1;
    }
    return 0;
}
