/* Membership in any networks, against the list as it was given, looked through one by one. */
#include "harness.h"

enum { MOST = 80, MAPPED_SIZE = 12 };

typedef struct {
    uint8_t family;
    uint8_t address[FPP_IPV6_SIZE];
} end;

static uint32_t bits_of(uint8_t family)
{
    return family == FPP_FAMILY_INET ? 8 * FPP_IPV4_SIZE : 8 * FPP_IPV6_SIZE;
}

static int is_mapped(uint8_t family, const uint8_t *address)
{
    static const uint8_t MAPPED[MAPPED_SIZE] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF};
    return family == FPP_FAMILY_INET6 && memcmp(address, MAPPED, MAPPED_SIZE) == 0;
}

static int shares(const uint8_t *left, const uint8_t *right, uint32_t bits)
{
    uint32_t whole = bits / 8;
    return memcmp(left, right, whole) == 0 &&
           (bits % 8 == 0 || (left[whole] ^ right[whole]) >> (8 - bits % 8) == 0);
}

/* Mapped ones are IPv4 (design: trust checks compare the IPv4 address). */
static int holds(const fpp_network *network, const end *wanted)
{
    int mapped = is_mapped(network->family, network->address) && network->prefix >= 96;
    int other = is_mapped(wanted->family, wanted->address);
    uint8_t family = mapped ? FPP_FAMILY_INET : network->family;
    uint32_t prefix = network->prefix - (mapped ? 96u : 0);
    if (family != (other ? FPP_FAMILY_INET : wanted->family))
        return 0;
    return shares(network->address + (mapped ? MAPPED_SIZE : 0),
                  wanted->address + (other ? MAPPED_SIZE : 0),
                  prefix < bits_of(family) ? prefix : bits_of(family));
}

/* One byte says the family, and whether the address is to be mapped or near the one before. */
static void take_end(source *from, end *out)
{
    uint8_t kind = take8(from);
    out->family = kind & 1 ? FPP_FAMILY_INET6 : FPP_FAMILY_INET;
    if ((kind & 6) == 2) {
        memset(out->address, 0, 10);
        memset(out->address + 10, 0xFF, 2);
        take(from, out->address + MAPPED_SIZE, FPP_IPV4_SIZE);
    } else if ((kind & 6) == 4) {
        out->address[kind >> 4] = take8(from);
    } else {
        take(from, out->address, kind & 1 ? FPP_IPV6_SIZE : FPP_IPV4_SIZE);
    }
}

static fpp_network take_network(source *from, end *last)
{
    fpp_network network;
    take_end(from, last);
    network.family = last->family;
    network.prefix = (uint8_t)(take8(from) % (bits_of(last->family) + 2)); /* one is too many */
    memcpy(network.address, last->address, sizeof network.address);
    return network;
}

static void check_order(const fpp_networks *found, size_t count)
{
    assert(found->inet <= found->count && found->count <= count);
    for (size_t i = 0; i < found->count; i++)
        assert((found->networks[i].family == FPP_FAMILY_INET) == (i < found->inet));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fpp_network given[MOST];
    fpp_networks found;
    source from = {data, size};
    end wanted = {0, {0}};
    size_t count = take8(&from) % (MOST + 1);
    for (size_t i = 0; i < count; i++)
        given[i] = take_network(&from, &wanted);
    fpp_network *ordered = exactly(count * sizeof *ordered);
    uint32_t *room = exactly((2 * count + FPP_NETWORKS_ROOM) * sizeof *room);
    memcpy(ordered, given, count * sizeof *ordered);
    fpp_order_networks(&found, ordered, count, room);
    check_order(&found, count);
    do {
        int expected = 0;
        take_end(&from, &wanted);
        for (size_t i = 0; i < count; i++)
            expected |= holds(&given[i], &wanted);
        assert(fpp_in_networks(&found, wanted.family, wanted.address) == expected);
    } while (from.left > 0);
    free(ordered);
    free(room);
    return 0;
}
