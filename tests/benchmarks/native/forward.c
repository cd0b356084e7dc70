/* What forwarding costs at the least: frames between two interfaces, both ways, by epoll and one
 * read and one write a frame. Usage: forward INTERFACE INTERFACE [drain]. Without "drain" a socket
 * is read once each time that it is found readable, with it until nothing waits. */
#include <errno.h>
#include <linux/can.h>
#include <linux/can/raw.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    if (argc < 3)
        return 2;
    int drain = argc > 3 && !strcmp(argv[3], "drain"), on = 1, sockets[2];
    int poll = epoll_create1(0);
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
            int side = events[i].data.u32;
            do {
                struct canfd_frame frame;
                ssize_t size = read(sockets[side], &frame, sizeof frame);
                if (size < 0 && errno == EAGAIN)
                    break;
                if (size < 0 || write(sockets[!side], &frame, size) != size) {
                    perror("forward");
                    return 1;
                }
            } while (drain);
        }
    }
}
