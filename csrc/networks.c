/* Networks of addresses: put in order once, searched for every connection. */
#include "core.h"

static const uint8_t MAPPED[] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF};
enum { MAPPED_SIZE = sizeof MAPPED, MAPPED_BITS = 8 * MAPPED_SIZE };

/* An address, or the first one of a network, in the order of the search: by family, then by
 * number. INET fills the upper half of high. */
typedef struct {
    uint8_t family;
    uint64_t high, low;
} position;

static inline uint64_t number8(const uint8_t at[8])
{
    return (uint64_t)at[0] << 56 | (uint64_t)at[1] << 48 | (uint64_t)at[2] << 40 |
           (uint64_t)at[3] << 32 | (uint64_t)at[4] << 24 | (uint64_t)at[5] << 16 |
           (uint64_t)at[6] << 8 | at[7];
}

static inline uint32_t number4(const uint8_t at[4])
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static inline position position_of(const fpp_network *network)
{
    position found = {network->family, number8(network->address), number8(network->address + 8)};
    return found;
}

/* Without branches, for what they depend on cannot be predicted. */
static inline int is_before(position left, position right)
{
    int lower = (left.high < right.high) | ((left.high == right.high) & (left.low < right.low));
    return (left.family < right.family) | ((left.family == right.family) & lower);
}

/* The uppermost bits of 64: none where bits is 0 or less, and all from 64 on. */
static inline uint64_t leading(int bits)
{
    return bits <= 0 ? 0 : bits < 64 ? ~(UINT64_MAX >> bits) : UINT64_MAX;
}

static inline int network_holds(const fpp_network *network, position address)
{
    position first = position_of(network);
    return first.family == address.family &&
           ((first.high ^ address.high) & leading(network->prefix)) == 0 &&
           ((first.low ^ address.low) & leading(network->prefix - 64)) == 0;
}

/* Clears what stands behind the prefix; what is mapped becomes the IPv4 network that it is. */
static void make_plain(fpp_network *network)
{
    if (network->family == FPP_FAMILY_INET6 && network->prefix >= MAPPED_BITS &&
        memcmp(network->address, MAPPED, MAPPED_SIZE) == 0) {
        network->family = FPP_FAMILY_INET;
        network->prefix = (uint8_t)(network->prefix - MAPPED_BITS);
        memmove(network->address, network->address + MAPPED_SIZE, FPP_IPV4_SIZE);
    }
    /*@ loop invariant 0 <= i <= FPP_IPV6_SIZE;
        loop assigns i, network->address[0 .. FPP_IPV6_SIZE - 1];
        loop variant FPP_IPV6_SIZE - i; */
    for (int i = 0; i < FPP_IPV6_SIZE; i++) {
        uint64_t kept = leading(network->prefix - 8 * i) >> 56;
        network->address[i] = (uint8_t)(network->address[i] & kept);
    }
}

/* Whichever holds the other comes first. */
static int comes_before(const fpp_network *left, const fpp_network *right)
{
    position first = position_of(left);
    position second = position_of(right);
    return is_before(first, second) ||
           (!is_before(second, first) && left->prefix < right->prefix);
}

/* Shell's method, with gaps that are about halved: no memory, no recursion, no bad case that a
 * list of networks could be. */
static void sort_networks(fpp_network *networks, size_t count)
{
    /*@ loop invariant gap <= count;
        loop assigns gap, networks[0 .. count - 1];
        loop variant gap; */
    for (size_t gap = count / 2; gap > 0; gap /= 2)
        /*@ loop invariant gap <= i;
            loop assigns i, networks[0 .. count - 1];
            loop variant count - i; */
        for (size_t i = gap; i < count; i++) {
            fpp_network moved = networks[i];
            size_t to = i;
            /*@ loop invariant to <= i;
                loop assigns to, networks[0 .. count - 1];
                loop variant to; */
            for (; to >= gap && comes_before(&moved, &networks[to - gap]); to -= gap)
                networks[to] = networks[to - gap];
            networks[to] = moved;
        }
}

/* How many start at or before number, of those in order; behind them stand WINDOW more that start
 * last of all. Halved while there are many, and then all of the rest are compared at once. */
enum { WINDOW = FPP_NETWORKS_ROOM - 1 };

static inline size_t count_starts(const uint32_t *starts, size_t count, uint32_t number)
{
    size_t from = 0;
    /*@ loop invariant from + count <= \at(count, Pre) && count >= 0;
        loop assigns from, count;
        loop variant count; */
    while (count > WINDOW) {
        size_t half = count / 2;
        from += starts[from + half] <= number ? half : 0;
        count -= half;
    }
    uint32_t found = 0;
    /*@ loop invariant i <= WINDOW && found <= i;
        loop assigns i, found;
        loop variant WINDOW - i; */
    for (size_t i = 0; i < WINDOW; i++)
        found += starts[from + i] <= number;
    return from + found;
}

void fpp_order_networks(fpp_networks *out, fpp_network *networks, size_t count, uint32_t *room)
{
    size_t kept = 0;
    size_t inet = 0;
    /*@ loop invariant i <= count;
        loop assigns i, networks[0 .. count - 1];
        loop variant count - i; */
    for (size_t i = 0; i < count; i++)
        make_plain(&networks[i]);
    sort_networks(networks, count);
    /*@ loop invariant kept <= i <= count;
        loop assigns i, kept, networks[0 .. count - 1];
        loop variant count - i; */
    for (size_t i = 0; i < count; i++) /* two networks have nothing in common, or one holds all */
        if (kept == 0 || !network_holds(&networks[kept - 1], position_of(&networks[i])))
            networks[kept++] = networks[i];
    /*@ loop invariant inet <= kept;
        loop assigns inet;
        loop variant kept - inet; */
    while (inet < kept && networks[inet].family == FPP_FAMILY_INET)
        inet++;
    uint32_t *starts = room;
    uint32_t *ends = room + inet + WINDOW;
    ends[0] = 0;
    /*@ loop invariant i <= inet;
        loop assigns i, starts[0 .. inet - 1], ends[1 .. inet];
        loop variant inet - i; */
    for (size_t i = 0; i < inet; i++) {
        starts[i] = number4(networks[i].address);
        ends[i + 1] = starts[i] | ~(uint32_t)(leading(networks[i].prefix) >> 32);
    }
    /*@ loop invariant i <= WINDOW;
        loop assigns i, starts[inet .. inet + WINDOW - 1];
        loop variant WINDOW - i; */
    for (size_t i = 0; i < WINDOW; i++)
        starts[inet + i] = UINT32_MAX;
    *out = (fpp_networks){networks, starts, ends, kept, inet};
}

/* The last one that does not start behind an address is the only one that can hold it. */
static inline int in_inet(const fpp_networks *networks, const uint8_t *address)
{
    uint32_t number = number4(address);
    size_t found = count_starts(networks->starts, networks->inet, number);
    size_t last = found < networks->inet ? found : networks->inet; /* for 255.255.255.255 */
    return (last > 0) & (number <= networks->ends[last]);
}

static int in_inet6(const fpp_networks *networks, const uint8_t *address)
{
    position wanted = {FPP_FAMILY_INET6, number8(address), number8(address + 8)};
    const fpp_network *found = networks->networks + networks->inet;
    size_t count = networks->count - networks->inet;
    if (count == 0)
        return 0;
    /*@ loop invariant 1 <= count <= networks->count - networks->inet;
        loop invariant \exists integer k; networks->inet <= k <= networks->count - count &&
                                          found == networks->networks + k;
        loop assigns found, count;
        loop variant count; */
    while (count > 1) {
        size_t half = count / 2;
        found += is_before(wanted, position_of(&found[half])) ? 0 : half;
        count -= half;
    }
    return network_holds(found, wanted);
}

int fpp_in_networks(const fpp_networks *networks, int family, const uint8_t *address)
{
    if (family == FPP_FAMILY_INET)
        return in_inet(networks, address);
    if (memcmp(address, MAPPED, MAPPED_SIZE) == 0)
        return in_inet(networks, address + MAPPED_SIZE);
    return in_inet6(networks, address);
}
