/* Connections to a server under test: client PORT CONNECTIONS WAVE REQUESTS HEADER REQUEST MARK

   So many connections, WAVE at a time (at most MOST); on each the header with the first request behind
   it in one segment, then the other requests, each when the answer to the last one is there: it ends
   in MARK. A WAVE of 1, and one request, is for servers of one connection at a time: while it is served
   the next one waits already, or how often such a server sleeps would be a matter of luck.
   HEADER and REQUEST are in hexadecimal. The client closes first, and never sleeps: whoever sends to
   one that sleeps pays for waking it, and the slower of two servers more often. */
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

static void in_turn(int total, const struct sockaddr_in *server, const unsigned char *first,
                    size_t size, const char *mark) {
    int fd = asked(server, first, size);
    for (int left = total; left > 0; left--) {
        const int next = left > 1 ? asked(server, first, size) : -1;
        read_answer(fd, mark);
        close(fd);
        fd = next;
    }
}

int main(int argc, char **argv) {
    static unsigned char first[2 * ROOM];
    unsigned char request[ROOM];
    int fds[MOST];
    must(argc == 8, "PORT CONNECTIONS WAVE REQUESTS HEADER REQUEST MARK");
    struct sockaddr_in server = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[1]))};
    server.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const int wave = atoi(argv[3]);
    must(wave > 0 && wave <= MOST, "WAVE");
    const int requests = atoi(argv[4]);
    const size_t header_size = from_hex(argv[5], first);
    const size_t request_size = from_hex(argv[6], request);
    memcpy(first + header_size, request, request_size);
    if (wave == 1) {
        must(requests == 1, "REQUESTS");
        in_turn(atoi(argv[2]), &server, first, header_size + request_size, argv[7]);
        return 0;
    }
    for (int left = atoi(argv[2]); left > 0; left -= wave) {
        const int count = left < wave ? left : wave;
        for (int i = 0; i < count; i++)
            fds[i] = connected(&server);
        for (int i = 0; i < count; i++)
            send_all(fds[i], first, header_size + request_size);
        for (int done = 1; done < requests; done++)
            for (int i = 0; i < count; i++) {
                read_answer(fds[i], argv[7]);
                send_all(fds[i], request, request_size);
            }
        for (int i = 0; i < count; i++) {
            read_answer(fds[i], argv[7]);
            close(fds[i]);
        }
    }
    return 0;
}
