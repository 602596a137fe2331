/* Runs a program that talks on standard input and output behind a load balancer: takes the header
 * off the connection and says in the environment who the client is, as systemd does for one that
 * connects by itself: remote_addr PROGRAM [ARGUMENT...]
 *
 * Let only the load balancer connect: whoever can chooses the address. How to compile it is in
 * docs/embedding.md. */
#define _POSIX_C_SOURCE 200809L

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "fastppv2.h"

#if FPP_API_VERSION != 1
#error "this program is written for version 1 of the C API of fastppv2"
#endif

enum { MAX_SIZE = 4096, TIMEOUT = 5 };

/* A header without the address of a client (LOCAL, UNKNOWN) leaves the variables as they are: the
 * connection's own address is the right one then. */
static int set_variables(const fpp_header *header)
{
    char address[FPP_ADDRESS_TEXT_SIZE], port[sizeof "65535"];
    if (header->family != FPP_FAMILY_INET && header->family != FPP_FAMILY_INET6)
        return 0;
    fpp_format_address(address, header->family, header->source);
    snprintf(port, sizeof port, "%u", (unsigned)header->source_port);
    return setenv("REMOTE_ADDR", address, 1) == 0 && setenv("REMOTE_PORT", port, 1) == 0 ? 0 : -1;
}

int main(int argc, char **argv)
{
    uint8_t data[MAX_SIZE];
    size_t length = 0;
    fpp_header header;
    fpp_error why;
    int status;
    if (argc < 2) {
        fputs("usage: remote_addr PROGRAM [ARGUMENT...]\n", stderr);
        return 2;
    }
    alarm(TIMEOUT); /* ends the process: nobody waits longer for the whole header */
    while ((status = fpp_parse(data, length, sizeof data, &header, &why)) ==
           FPP_STATUS_INCOMPLETE) {
        /* Reading up to needed never reads past the header: all that follows is the program's. */
        ssize_t got = read(STDIN_FILENO, data + length, why.needed - length);
        if (got <= 0) {
            fprintf(stderr, "remote_addr: the end after %zu bytes of the header\n", length);
            return 1;
        }
        length += (size_t)got;
    }
    if (status != FPP_STATUS_OK) {
        fprintf(stderr, "remote_addr: refused at byte %u: FPP_STATUS %d\n", (unsigned)why.offset,
                status);
        return 1;
    }
    alarm(0);
    if (set_variables(&header) == 0)
        execvp(argv[1], argv + 1);
    perror("remote_addr");
    return 1;
}
