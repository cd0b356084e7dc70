/* Receive from interfaces by epoll and recvmmsg, with the kernel's time stamps and drop counts.
 * Usage: receive_paced COUNT QUIET REST INTERFACE... It prints "ready", receives until it has COUNT
 * frames or none has come for QUIET milliseconds, and prints how many have come, the nanoseconds
 * of processor time that it took, and those that passed from the first frame to the last. With a
 * REST above 0 it takes all that waits, and then sleeps for so many milliseconds. */
#include "common.h"
#include <errno.h>
#include <sys/epoll.h>

#define EVENTS 64

int main(int argc, char **argv)
{
    if (argc < 5)
        return 2;
    long long count = atoll(argv[1]), received = 0, first = 0, last = 0;
    int quiet = atoi(argv[2]), poll = epoll_create1(0);
    struct timespec rest = {.tv_nsec = atol(argv[3]) * 1000000L};
    unsigned long long sum = 0;
    struct reception reception = {0};
    static struct batch batch;
    for (int i = 4; i < argc; i++) {
        int fd = open_receiver(argv[i], 4 << 20);
        struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
        if (epoll_ctl(poll, EPOLL_CTL_ADD, fd, &event) < 0)
            fail("epoll_ctl");
    }
    prepare_batch(&batch, BATCH);
    say_ready();
    long long before = now(CLOCK_PROCESS_CPUTIME_ID);
    while (received < count) {
        struct epoll_event events[EVENTS];
        int ready = epoll_wait(poll, events, EVENTS, received ? quiet : PATIENCE * 1000);
        if (ready < 0)
            fail("epoll_wait");
        if (!ready)
            break;
        for (int i = 0; i < ready; i++) {
            int got;
            do {
                got = recvmmsg(events[i].data.fd, batch.headers, BATCH, MSG_DONTWAIT, NULL);
                if (got < 0 && errno == EAGAIN)
                    break;
                if (got < 0)
                    fail("recvmmsg");
                for (int k = 0; k < got; k++) {
                    read_control(&batch.headers[k].msg_hdr, &reception);
                    sum += batch.frames[k].can_id + batch.from[k].can_ifindex;
                    first = first ? first : reception.stamp;
                    last = reception.stamp;
                }
                prepare_batch(&batch, got);
                received += got;
            } while (rest.tv_nsec && got == BATCH);
        }
        if (rest.tv_nsec)
            nanosleep(&rest, NULL);
    }
    long long used = now(CLOCK_PROCESS_CPUTIME_ID) - before;
    printf("%lld %lld %lld\n", received, used, last - first);
    return sum ? 0 : 1;
}
