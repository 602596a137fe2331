/* Connections to a server under test: client PORT CONNECTIONS WINDOW REQUESTS HEADER REQUEST MARK

   So many connections, WINDOW at a time (at most MOST); on each at once the header with the first
   request behind it in one segment, then the other requests, each when the answer to the last one is
   there: it ends in MARK. HEADER and REQUEST are in hexadecimal.
   The client closes first, and another connection follows: all others wait meanwhile, so the server
   has no time to sleep, which costs more than a header does, and how often it does is a matter of
   when it does what. A WINDOW of 2 is for servers of one connection at a time. The client never
   sleeps either: whoever sends to one that sleeps pays for waking it. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MOST = 16, ROOM = 65536 };

static void must(int holds, const char *what) {
    if (!holds) {
        perror(what);
        exit(1);
    }
}

static size_t from_hex(const char *text, unsigned char *out) {
    const size_t size = strlen(text) / 2;
    must(size <= ROOM, "too long");
    for (size_t i = 0; i < size; i++) {
        const char digits[3] = {text[2 * i], text[2 * i + 1], 0};
        out[i] = (unsigned char)strtoul(digits, NULL, 16);
    }
    return size;
}

static int connected(const struct sockaddr_in *server) {
    const int on = 1;
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    must(fd >= 0, "socket");
    must(connect(fd, (const struct sockaddr *)server, sizeof *server) == 0, "connect");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return fd;
}

static void send_all(int fd, const unsigned char *data, size_t size) {
    must(send(fd, data, size, MSG_NOSIGNAL) == (ssize_t)size, "send");
}

static void read_answer(int fd, const char *mark) {
    char answer[ROOM];
    const size_t end = strlen(mark);
    size_t size = 0;
    while (size < end || memcmp(answer + size - end, mark, end) != 0) {
        const ssize_t count = recv(fd, answer + size, ROOM - size, MSG_DONTWAIT);
        if (count < 0 && errno == EAGAIN)
            continue;
        must(count > 0, "recv");
        size += (size_t)count;
    }
}

static int asked(const struct sockaddr_in *server, const unsigned char *first, size_t size) {
    const int fd = connected(server);
    send_all(fd, first, size);
    return fd;
}

int main(int argc, char **argv) {
    static unsigned char first[2 * ROOM];
    unsigned char request[ROOM];
    int fds[MOST], done[MOST] = {0};
    must(argc == 8, "PORT CONNECTIONS WINDOW REQUESTS HEADER REQUEST MARK");
    struct sockaddr_in server = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[1]))};
    server.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const int total = atoi(argv[2]), window = atoi(argv[3]), requests = atoi(argv[4]);
    must(window > 0 && window <= MOST && window <= total, "WINDOW");
    const size_t header_size = from_hex(argv[5], first);
    const size_t request_size = from_hex(argv[6], request);
    memcpy(first + header_size, request, request_size);
    int opened = 0;
    for (; opened < window; opened++)
        fds[opened] = asked(&server, first, header_size + request_size);
    for (int closed = 0, i = 0; closed < total; i = (i + 1) % window) {
        if (fds[i] < 0)
            continue;
        read_answer(fds[i], argv[7]);
        if (++done[i] < requests) {
            send_all(fds[i], request, request_size);
            continue;
        }
        close(fds[i]);
        closed++;
        done[i] = 0;
        fds[i] = opened++ < total ? asked(&server, first, header_size + request_size) : -1;
    }
    return 0;
}
