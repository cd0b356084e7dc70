/* Drain a raw CAN socket's queue by recvmmsg, 64 frames a call, with the kernel's time stamps and
 * drop counts as ancillary data. Usage: receive_many INTERFACE COUNT. It prints "ready"; for each
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
    static struct batch batch;
    prepare_batch(&batch, BATCH);
    say_ready();
    while (next_line()) {
        long long start = now(CLOCK_MONOTONIC);
        for (long left = count; left > 0;) {
            int most = left < BATCH ? left : BATCH;
            int got = recvmmsg(fd, batch.headers, most, MSG_WAITFORONE, NULL);
            if (got < 0)
                fail("recvmmsg");
            for (int i = 0; i < got; i++) {
                read_control(&batch.headers[i].msg_hdr, &reception);
                sum += reception.stamp + batch.frames[i].can_id + batch.from[i].can_ifindex;
            }
            prepare_batch(&batch, got);
            left -= got;
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
