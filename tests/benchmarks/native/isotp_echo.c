/* ISO-TP by the kernel's sockets, with as little as there can be beside them.
 *
 * isotp_echo echo INTERFACE TX RX: prints "ready" and sends back what comes, until killed.
 * isotp_echo ask INTERFACE TX RX SIZE COUNT: sends COUNT PDUs of SIZE bytes (and one before them,
 * which does not count), reads each one's echo, checks it, and prints nanoseconds and nanoseconds of
 * processor time for each. Identifiers are hexadecimal. */
#include <linux/can.h>
#include <linux/can/isotp.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { MOST = 8300 }; /* what the kernel takes, unless it is told otherwise */

static int failed(const char *what)
{
    perror(what);
    return 1;
}

static long long now(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static int echo(int fd)
{
    static unsigned char pdu[MOST];
    puts("ready");
    fflush(stdout);
    for (;;) {
        ssize_t size = read(fd, pdu, sizeof pdu);
        if (size < 0)
            return failed("read");
        if (write(fd, pdu, size) != size)
            return failed("write");
    }
}

static int ask(int fd, ssize_t size, int count)
{
    static unsigned char pdu[MOST], answer[MOST];
    long long wall = 0, processor = 0;
    if (size > MOST || count < 1)
        return 2;
    for (ssize_t i = 0; i < size; i++)
        pdu[i] = i;
    for (int i = -1; i < count; i++) {
        if (i == 0) {
            wall = now(CLOCK_MONOTONIC);
            processor = now(CLOCK_PROCESS_CPUTIME_ID);
        }
        if (write(fd, pdu, size) != size)
            return failed("write");
        if (read(fd, answer, sizeof answer) != size || memcmp(pdu, answer, size))
            return failed("read");
    }
    processor = now(CLOCK_PROCESS_CPUTIME_ID) - processor;
    wall = now(CLOCK_MONOTONIC) - wall;
    printf("%lld %lld\n", wall / count, processor / count);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc != 5 && argc != 7)
        return 2;
    struct sockaddr_can address = {
        .can_family = AF_CAN,
        .can_ifindex = if_nametoindex(argv[2]),
        .can_addr.tp.tx_id = strtoul(argv[3], NULL, 16),
        .can_addr.tp.rx_id = strtoul(argv[4], NULL, 16),
    };
    int fd = socket(PF_CAN, SOCK_DGRAM, CAN_ISOTP);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) < 0)
        return failed(argv[2]);
    if (argc == 5 && !strcmp(argv[1], "echo"))
        return echo(fd);
    if (argc == 7 && !strcmp(argv[1], "ask"))
        return ask(fd, atol(argv[5]), atoi(argv[6]));
    return 2;
}
