/* How long frames take from the kernel's stamp to a program: by epoll and recvmsg. Usage:
 * receive_stamped INTERFACE COUNT. It prints "ready", receives COUNT frames, and prints for each
 * the nanoseconds from its stamp to now. */
#include "common.h"
#include <sys/epoll.h>

int main(int argc, char **argv)
{
    if (argc != 3)
        return 2;
    int fd = open_receiver(argv[1], 4 << 20), poll = epoll_create1(0);
    long count = atol(argv[2]);
    long long *passed = calloc(count, sizeof *passed);
    struct epoll_event event = {.events = EPOLLIN};
    struct reception reception = {0};
    if (epoll_ctl(poll, EPOLL_CTL_ADD, fd, &event) < 0)
        fail("epoll_ctl");
    say_ready();
    for (long i = 0; i < count; i++) {
        struct canfd_frame frame;
        char control[128];
        struct sockaddr_can from;
        struct iovec vector = {&frame, sizeof frame};
        struct msghdr message = {&from, sizeof from, &vector, 1, control, sizeof control, 0};
        if (epoll_wait(poll, &event, 1, PATIENCE * 1000) != 1) {
            fprintf(stderr, "%ld of %ld frames have come\n", i, count);
            return 1;
        }
        if (recvmsg(fd, &message, 0) < 0)
            fail("recvmsg");
        read_control(&message, &reception);
        passed[i] = now(CLOCK_REALTIME) - reception.stamp;
    }
    for (long i = 0; i < count; i++)
        printf("%lld\n", passed[i]);
    return 0;
}
