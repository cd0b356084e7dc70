/* Send as busy buses would: each 1/RATE seconds one frame to each interface. Usage: send_paced
 * RATE COUNT INTERFACE... It prints "ready"; after a line on standard input it sends COUNT frames
 * to each interface, and prints how many nanoseconds that took. */
#include "common.h"
#include <sys/prctl.h>

#define SPIN 60000 /* nanoseconds before a frame is due: to sleep and wake takes about as long */
#define INTERFACES 64

/* Give the time by then. */
static long long wait_until(long long due)
{
    if (due - now(CLOCK_MONOTONIC) > SPIN) {
        struct timespec until = {
            .tv_sec = (due - SPIN) / 1000000000LL,
            .tv_nsec = (due - SPIN) % 1000000000LL,
        };
        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
    }
    long long time;
    do
        time = now(CLOCK_MONOTONIC);
    while (time < due);
    return time;
}

int main(int argc, char **argv)
{
    int interfaces = argc - 3, sockets[INTERFACES];
    if (interfaces < 1 || interfaces > INTERFACES)
        return 2;
    double step = 1e9 / atof(argv[1]);
    long long count = atoll(argv[2]);
    for (int i = 0; i < interfaces; i++)
        sockets[i] = open_sender(argv[3 + i]);
    prctl(PR_SET_TIMERSLACK, 1UL);
    say_ready();
    if (!next_line())
        return 1;
    long long start = now(CLOCK_MONOTONIC);
    double due = start;
    for (long long number = 0; number < count; number++) {
        struct can_frame frame = numbered_frame(number);
        long long late = wait_until((long long)due) - (long long)due;
        due += late > step ? late + step : step; /* a bus does not catch up either */
        for (int i = 0; i < interfaces; i++)
            if (send(sockets[i], &frame, sizeof frame, 0) < 0)
                fail("send");
    }
    printf("%lld\n", now(CLOCK_MONOTONIC) - start);
    return 0;
}
