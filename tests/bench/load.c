/* The load generator: a client that costs so little that the server is what is measured.

       load MODE PORT CONNECTIONS SIZE

   MODE     what one operation is
   echo     SIZE bytes to a connection and back; one message under way on each connection
   http     a GET and its whole answer, likewise
   udp      a datagram of SIZE bytes and back; sent again after 0.1 s without an answer
   churn    connect, SIZE bytes there and back, close; CONNECTIONS of them at a time
   stream   SIZE bytes of a stream through one connection and back, up to 1 MiB under way

   It opens its connections, each with one exchange so that the server is known to be ready for more,
   and says "ready". Then it obeys lines on standard input until that ends:

   idle N        open N more connections, which stay silent            answers "ready"
   run SECONDS   operate for so long, then wait for what is under way  answers "OPS SECONDS P50 P99"

   Percentiles are microseconds from the first byte sent to the last one received. What goes wrong is
   said on standard error, and ends it with status 1. Addresses of 127/8 take turns as the source,
   so that no number of connections runs out of ports. */

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define WINDOW (1 << 20)
#define EVENTS 512
#define BATCH 100

enum mode { ECHO, HTTP, UDP, CHURN, STREAM };
static const char *const MODES[] = {"echo", "http", "udp", "churn", "stream"};
static const char GET[] = "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n";

struct conn {
    int fd;
    size_t owed;   /* bytes of the answer that have not come yet */
    uint64_t sent; /* when the message went out */
};

static enum mode mode;
static int port, poller;
static size_t size, answer; /* bytes of a message, and of the answer to it */
static const char *message;
static char buffer[1 << 16];
static uint32_t *times; /* nanoseconds of each operation */
static size_t done, room;

static void die(const char *what) {
    fprintf(stderr, "load: %s: %s\n", what, errno ? strerror(errno) : "no reason given");
    exit(1);
}

static uint64_t now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void note(uint64_t since) {
    if (done == room) {
        room = room ? room * 2 : 1 << 16;
        times = realloc(times, room * sizeof *times);
        if (!times) die("no memory");
    }
    uint64_t taken = now() - since;
    times[done++] = taken < UINT32_MAX ? (uint32_t)taken : UINT32_MAX;
}

static int dial(void) {
    static unsigned turn;
    int one = 1, fd = socket(AF_INET, mode == UDP ? SOCK_DGRAM : SOCK_STREAM, 0);
    struct timeval patience = {.tv_sec = 20};
    struct sockaddr_in here = {.sin_family = AF_INET}, there = {.sin_family = AF_INET};
    if (fd < 0) die("socket");
    here.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1 + turn++ % 200);
    there.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    there.sin_port = htons((uint16_t)port);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    if (mode != UDP) {
        setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    }
    if (bind(fd, (struct sockaddr *)&here, sizeof here)) die("bind");
    if (connect(fd, (struct sockaddr *)&there, sizeof there)) die("connect");
    return fd;
}

static void watch(struct conn *c) {
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
    if (epoll_ctl(poller, EPOLL_CTL_ADD, c->fd, &event)) die("epoll_ctl");
}

static void ask(struct conn *c) {
    c->owed = answer;
    c->sent = now();
    if (send(c->fd, message, size, MSG_NOSIGNAL) != (ssize_t)size) die("send");
}

static size_t take(int fd) { /* at least one byte, patiently */
    ssize_t n = recv(fd, buffer, sizeof buffer, 0);
    if (n <= 0) {
        if (!n) errno = ECONNRESET;
        die("no answer");
    }
    return (size_t)n;
}

static size_t http_answer(int fd) { /* read one whole; return its length */
    static char head[8192];
    size_t got = 0;
    while (got < sizeof head - 1) {
        ssize_t n = recv(fd, head + got, sizeof head - 1 - got, 0);
        if (n <= 0) die("no answer");
        got += (size_t)n;
        head[got] = 0;
        char *end = strstr(head, "\r\n\r\n"), *length = strcasestr(head, "\r\ncontent-length:");
        if (!end) continue;
        if (!length || length > end) die("an answer without a length");
        size_t whole = (size_t)(end + 4 - head) + strtoul(length + 17, NULL, 10);
        if (got >= whole) return whole;
    }
    die("too long an answer");
    return 0;
}

static void greet(struct conn *c) { /* open, and exchange a message */
    c->fd = dial();
    ask(c);
    if (mode == HTTP) answer = http_answer(c->fd);
    else for (size_t owed = answer; owed;) owed -= take(c->fd);
}

static void stay(int n) { /* open n more for good; many at a time, as some servers look at all each time */
    struct conn some[BATCH];
    while (n > 0) {
        int now = n < BATCH ? n : BATCH;
        for (int i = 0; i < now; i++) some[i].fd = dial();
        for (int i = 0; i < now; i++) ask(&some[i]);
        for (int i = 0; i < now; i++)
            for (size_t owed = answer; owed;) owed -= take(some[i].fd);
        n -= now;
    }
}

static void exchange(struct conn *all, int n, uint64_t end) {
    struct epoll_event events[EVENTS];
    int busy = n;
    for (int i = 0; i < n; i++) ask(&all[i]);
    for (uint64_t last = now(); busy;) {
        int ready = epoll_wait(poller, events, EVENTS, mode == UDP ? 100 : 20000);
        if (ready < 0 && errno != EINTR) die("epoll_wait");
        if (ready == 0) { /* lost, or stuck */
            if (mode != UDP || now() - last > 5000000000u) die("no answer");
            for (int i = 0; i < n; i++)
                if (all[i].owed) ask(&all[i]);
            continue;
        }
        for (int i = 0; i < ready; i++) {
            struct conn *c = events[i].data.ptr;
            size_t got = take(c->fd);
            if (!c->owed) continue; /* the answer to a datagram that was sent twice */
            c->owed -= got < c->owed ? got : c->owed;
            if (c->owed) continue;
            note(c->sent);
            last = now();
            if (last < end) ask(c);
            else busy--;
        }
    }
}

static void churn(struct conn *all, int n, uint64_t end) {
    struct epoll_event events[EVENTS];
    int busy = n;
    for (int i = 0; i < n; i++) {
        all[i].fd = dial();
        watch(&all[i]);
        ask(&all[i]);
    }
    while (busy) {
        int ready = epoll_wait(poller, events, EVENTS, 20000);
        if (ready < 0 && errno != EINTR) die("epoll_wait");
        if (ready == 0) die("no answer");
        for (int i = 0; i < ready; i++) {
            struct conn *c = events[i].data.ptr;
            ssize_t got = recv(c->fd, buffer, sizeof buffer, 0);
            if (got < 0) die("recv");
            c->owed -= (size_t)got < c->owed ? (size_t)got : c->owed;
            if (got && !c->owed) shutdown(c->fd, SHUT_WR);
            if (got) continue;
            if (c->owed) die("closed without an answer");
            uint64_t sent = c->sent;
            close(c->fd);
            note(sent);
            if (now() < end) {
                uint64_t begun = now();
                c->fd = dial();
                watch(c);
                ask(c);
                c->sent = begun; /* connecting counts */
            } else busy--;
        }
    }
}

static size_t stream(struct conn *c, uint64_t end) { /* returns the bytes that came back */
    size_t sent = 0, got = 0;
    struct pollfd p = {.fd = c->fd};
    int open = 1;
    while (open || got < sent) {
        open = now() < end;
        p.events = (short)(POLLIN | (open && sent - got < WINDOW ? POLLOUT : 0));
        if (poll(&p, 1, 20000) <= 0) die("no answer");
        if (p.revents & POLLOUT) {
            ssize_t n = send(c->fd, message, size, MSG_DONTWAIT | MSG_NOSIGNAL);
            if (n > 0) sent += (size_t)n;
            else if (errno != EAGAIN) die("send");
        }
        if (p.revents & ~POLLOUT) got += take(c->fd);
    }
    return got;
}

static int ascending(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static void run(struct conn *all, int n, double seconds) {
    uint64_t begun = now(), end = begun + (uint64_t)(seconds * 1e9);
    size_t ops = 0;
    done = 0;
    if (mode == STREAM) ops = stream(all, end) / size;
    else if (mode == CHURN) churn(all, n, end);
    else exchange(all, n, end);
    double taken = (double)(now() - begun) / 1e9;
    if (done) {
        ops = done;
        qsort(times, done, sizeof *times, ascending);
        printf("%zu %.6f %.1f %.1f\n", ops, taken, times[done / 2] / 1e3, times[done * 99 / 100] / 1e3);
    } else printf("%zu %.6f 0 0\n", ops, taken);
}

int main(int argc, char **argv) {
    char line[100];
    struct rlimit files;
    int n, known = sizeof MODES / sizeof *MODES;
    if (argc != 5) return 2;
    for (mode = ECHO; (int)mode < known && strcmp(argv[1], MODES[mode]); mode++) {}
    if ((int)mode == known) return 2;
    port = atoi(argv[2]);
    n = atoi(argv[3]);
    size = answer = strtoul(argv[4], NULL, 10);
    message = memset(calloc(1, size + 1), 'x', size);
    if (mode == HTTP) message = GET, size = sizeof GET - 1;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    poller = epoll_create1(0);
    struct conn *all = calloc((size_t)n, sizeof *all);
    for (int i = 0; mode != CHURN && i < n; i++) {
        greet(&all[i]);
        watch(&all[i]);
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    puts("ready");
    while (fgets(line, sizeof line, stdin)) {
        errno = 0;
        if (!strncmp(line, "idle ", 5)) {
            stay(atoi(line + 5));
            puts("ready");
        } else if (!strncmp(line, "run ", 4)) run(all, n, atof(line + 4));
        else return 2;
    }
    return 0;
}
