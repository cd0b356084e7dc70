/* How long frames take from the kernel's stamp to a program: by epoll and recvmsg. Usage:
 * receive_stamped INTERFACE COUNT QUIET. It prints "ready", receives until it has COUNT frames or
 * none has come for QUIET milliseconds, and prints for each that has come the nanoseconds from its
 * stamp to now. */
#include "common.h"
#include <sys/epoll.h>

int main(int argc, char **argv)
{
    if (argc != 4)
        return 2;
    int fd = open_receiver(argv[1], 4 << 20), poll = epoll_create1(0), quiet = atoi(argv[3]);
    long count = atol(argv[2]), received = 0;
    long long *passed = calloc(count, sizeof *passed);
    struct epoll_event event = {.events = EPOLLIN};
    struct reception reception = {0};
    if (epoll_ctl(poll, EPOLL_CTL_ADD, fd, &event) < 0)
        fail("epoll_ctl");
    say_ready();
    while (received < count) {
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
        int ready = epoll_wait(poll, &event, 1, received ? quiet : PATIENCE * 1000);
        if (ready < 0)
            fail("epoll_wait");
        if (!ready)
            break;
        if (recvmsg(fd, &message, 0) < 0)
            fail("recvmsg");
        read_control(&message, &reception);
        passed[received++] = now(CLOCK_REALTIME) - reception.stamp;
    }
    for (long i = 0; i < received; i++)
        printf("%lld\n", passed[i]);
    return 0;
}
