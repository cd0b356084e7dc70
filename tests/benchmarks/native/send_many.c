/* Send frames: by send, one a call, or by sendmmsg. Usage: send_many INTERFACE COUNT BATCH, where
 * a BATCH of 1 is send. It prints "ready"; for each line on standard input it sends COUNT frames
 * and prints how many nanoseconds that took. */
#include "common.h"

int main(int argc, char **argv)
{
    if (argc != 4)
        return 2;
    int fd = open_sender(argv[1]);
    long count = atol(argv[2]), batch = atol(argv[3]);
    struct can_frame *frames = calloc(count, sizeof *frames);
    struct iovec *vectors = calloc(batch, sizeof *vectors);
    struct mmsghdr *headers = calloc(batch, sizeof *headers);
    for (long i = 0; i < count; i++)
        frames[i] = numbered_frame(i);
    say_ready();
    while (next_line()) {
        long long start = now(CLOCK_MONOTONIC);
        for (long done = 0; done < count;) {
            if (batch == 1) {
                if (send(fd, &frames[done], sizeof *frames, 0) < 0)
                    fail("send");
                done++;
                continue;
            }
            int most = count - done < batch ? count - done : batch;
            for (int i = 0; i < most; i++) {
                vectors[i] = (struct iovec){&frames[done + i], sizeof *frames};
                headers[i].msg_hdr = (struct msghdr){.msg_iov = &vectors[i], .msg_iovlen = 1};
            }
            int sent = sendmmsg(fd, headers, most, 0);
            if (sent < 0)
                fail("sendmmsg");
            done += sent;
        }
        printf("%lld\n", now(CLOCK_MONOTONIC) - start);
        fflush(stdout);
    }
    return 0;
}
