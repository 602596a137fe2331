/* Addresses and their text, both ways, and the C library's opinion of them. */
#include <arpa/inet.h>
#include <sys/socket.h>

#include "harness.h"

static size_t size_of(int family)
{
    return family == FPP_FAMILY_INET ? FPP_IPV4_SIZE : FPP_IPV6_SIZE;
}

static int kind_of(int family)
{
    return family == FPP_FAMILY_INET ? AF_INET : AF_INET6;
}

/* inet_ntop writes ::/96 with dots where RFC 5952 asks for them in ::ffff:0:0/96 only. */
static int is_dotted_there(int family, const uint8_t *address)
{
    static const uint8_t COMPATIBLE[12];
    return family == FPP_FAMILY_INET6 && memcmp(address, COMPATIBLE, sizeof COMPATIBLE) == 0;
}

static void check_address(int family, const uint8_t *address)
{
    uint8_t again[FPP_IPV6_SIZE];
    char expected[INET6_ADDRSTRLEN];
    char *text = exactly(FPP_ADDRESS_TEXT_SIZE);
    size_t length = fpp_format_address(text, family, address);
    assert(length == strlen(text));
    assert(fpp_read_address(again, family, text, length));
    assert(memcmp(again, address, size_of(family)) == 0);
    if (!is_dotted_there(family, address)) {
        assert(inet_ntop(kind_of(family), address, expected, sizeof expected) != NULL);
        assert(strcmp(text, expected) == 0);
    }
    free(text);
}

/* The C library reads text up to a NUL, and knows no longer one. */
static int reads_there(int family, const uint8_t *text, size_t length, uint8_t *address)
{
    char *terminated = exactly(length + 1);
    if (length > 0)
        memcpy(terminated, text, length);
    terminated[length] = '\0';
    int found = strlen(terminated) == length &&
                inet_pton(kind_of(family), terminated, address) == 1;
    free(terminated);
    return found;
}

static void check_text(int family, const uint8_t *text, size_t length)
{
    uint8_t address[FPP_IPV6_SIZE], expected[FPP_IPV6_SIZE];
    int found = fpp_read_address(address, family, (const char *)text, length);
    assert(found == reads_there(family, text, length, expected));
    if (found) {
        assert(memcmp(address, expected, size_of(family)) == 0);
        check_address(family, address);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    check_text(FPP_FAMILY_INET, data, size);
    check_text(FPP_FAMILY_INET6, data, size);
    if (size >= FPP_IPV4_SIZE)
        check_address(FPP_FAMILY_INET, data);
    if (size >= FPP_IPV6_SIZE)
        check_address(FPP_FAMILY_INET6, data);
    return 0;
}
