/* What the kernel alone costs: one thread, one epoll, a receive and a send for each echo.

       echo (echo | udp)

   Prints its port. It has no timeouts, buffers nothing, and trusts its clients: a server that does less
   could not be called one. */

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define EVENTS 512

static char buffer[1 << 16];

static void must(int fine, const char *what) {
    if (!fine) {
        perror(what);
        exit(1);
    }
}

static int bound(int kind) {
    int fd = socket(AF_INET, kind, 0);
    struct sockaddr_in here = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof here;
    must(fd >= 0, "socket");
    must(!bind(fd, (struct sockaddr *)&here, length), "bind");
    must(kind == SOCK_DGRAM || !listen(fd, 4096), "listen");
    must(!getsockname(fd, (struct sockaddr *)&here, &length), "getsockname");
    printf("%d\n", ntohs(here.sin_port));
    fflush(stdout);
    return fd;
}

static void serve_udp(int fd) {
    for (;;) {
        struct sockaddr_in from;
        socklen_t length = sizeof from;
        ssize_t n = recvfrom(fd, buffer, sizeof buffer, 0, (struct sockaddr *)&from, &length);
        must(n >= 0, "recvfrom");
        sendto(fd, buffer, (size_t)n, 0, (struct sockaddr *)&from, length);
    }
}

static void add(int poller, int fd) {
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    must(!epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event), "epoll_ctl");
}

static void serve_tcp(int listener) {
    struct epoll_event events[EVENTS];
    int one = 1, poller = epoll_create1(0);
    add(poller, listener);
    for (;;) {
        int ready = epoll_wait(poller, events, EVENTS, -1);
        for (int i = 0; i < ready; i++) {
            int fd = events[i].data.fd;
            if (fd == listener) {
                fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
                must(fd >= 0, "accept");
                setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
                add(poller, fd);
                continue;
            }
            ssize_t n = recv(fd, buffer, sizeof buffer, 0);
            if (n <= 0 || send(fd, buffer, (size_t)n, MSG_NOSIGNAL) != n) close(fd);
        }
    }
}

int main(int argc, char **argv) {
    int udp = argc > 1 && !strcmp(argv[1], "udp");
    int fd = bound(udp ? SOCK_DGRAM : SOCK_STREAM);
    if (udp) serve_udp(fd);
    else serve_tcp(fd);
}
