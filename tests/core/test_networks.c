/* Networks in order against the list as it was given, looked through bit by bit. */
#include "core_test.h"

#include <string.h>

enum { MOST = 150, LISTS = 600, ADDRESSES = 200 };

static uint32_t bits_of(uint8_t family)
{
    return family == FPP_FAMILY_INET ? 8 * FPP_IPV4_SIZE : 8 * FPP_IPV6_SIZE;
}

static int bit_of(const uint8_t *address, uint32_t at)
{
    return address[at / 8] >> (7 - at % 8) & 1;
}

static int is_mapped(const uint8_t *address)
{
    for (uint32_t i = 0; i < 12; i++)
        if (address[i] != (i < 10 ? 0 : 0xFF))
            return 0;
    return 1;
}

static int shares(const uint8_t *left, const uint8_t *right, uint32_t bits)
{
    for (uint32_t at = 0; at < bits; at++)
        if (bit_of(left, at) != bit_of(right, at))
            return 0;
    return 1;
}

/* Whether the network holds the address, both of any family, mapped or not. */
static int holds(const fpp_network *network, uint8_t family, const uint8_t *address)
{
    uint32_t prefix = network->prefix;
    uint8_t kind = network->family;
    const uint8_t *first = network->address;
    if (kind == FPP_FAMILY_INET6 && is_mapped(first) && prefix >= 96) {
        kind = FPP_FAMILY_INET;
        first += 12;
        prefix -= 96;
    }
    if (family == FPP_FAMILY_INET6 && is_mapped(address)) {
        family = FPP_FAMILY_INET;
        address += 12;
    }
    return kind == family && shares(first, address, prefix);
}

static void any_address(uint8_t family, uint8_t address[FPP_IPV6_SIZE])
{
    random_bytes(address, FPP_IPV6_SIZE);
    if (random_below(4) == 0) /* crowded, so that some hold others */
        memset(address, random_below(2) == 0 ? 0 : 0xFF, family == FPP_FAMILY_INET ? 2 : 15);
    if (family == FPP_FAMILY_INET6 && random_below(4) == 0) {
        memset(address, 0, 10);
        memset(address + 10, 0xFF, 2);
    }
}

static uint8_t any_family(void)
{
    return random_below(2) == 0 ? FPP_FAMILY_INET : FPP_FAMILY_INET6;
}

/* Large ones hold most of the others, of small ones many are left. */
static void any_networks(fpp_network *networks, size_t count)
{
    uint32_t small = random_below(2);
    for (size_t i = 0; i < count; i++) {
        networks[i].family = any_family();
        uint32_t bits = bits_of(networks[i].family);
        uint32_t least = small ? bits - bits / 4 : 0;
        networks[i].prefix = (uint8_t)(least + random_below(bits - least + 1));
        any_address(networks[i].family, networks[i].address);
    }
}

/* The first of a network or the last, or one beside them, is where a search goes wrong. */
static void near_network(const fpp_network *network, uint8_t address[FPP_IPV6_SIZE])
{
    uint32_t bits = bits_of(network->family);
    uint32_t ones = random_below(2);
    memcpy(address, network->address, FPP_IPV6_SIZE);
    for (uint32_t at = network->prefix; at < bits; at++) {
        uint8_t mask = (uint8_t)(0x80 >> at % 8);
        address[at / 8] = (uint8_t)(ones ? address[at / 8] | mask : address[at / 8] & ~mask);
    }
    if (random_below(2) == 0) { /* the next one, or the one before */
        uint32_t at = bits / 8;
        do
            address[at - 1] = (uint8_t)(address[at - 1] + (ones ? 1 : -1));
        while (address[--at] == (ones ? 0 : 0xFF) && at > 0);
    }
}

static int in_list(const fpp_network *list, size_t count, uint8_t family, const uint8_t *address)
{
    for (size_t i = 0; i < count; i++)
        if (holds(&list[i], family, address))
            return 1;
    return 0;
}

static void check_list(guarded region, guarded list, size_t count)
{
    fpp_network given[MOST];
    uint32_t numbers[2 * MOST + FPP_NETWORKS_ROOM] = {0};
    fpp_networks networks;
    size_t room = (2 * count + FPP_NETWORKS_ROOM) * sizeof numbers[0];
    any_networks(given, count);
    fpp_network *ordered = (void *)guarded_at_end(list, given, count * sizeof given[0]);
    /* Alignment is the guard's page minus a multiple of four. */
    void *behind = (void *)guarded_at_end(region, (const uint8_t *)numbers, room);
    fpp_order_networks(&networks, ordered, count, behind);
    check(networks.inet <= networks.count && networks.count <= count, "%zu of %zu networks",
          networks.count, count);
    for (size_t i = 0; i + 1 < networks.count; i++)
        check(!holds(&ordered[i], ordered[i + 1].family, ordered[i + 1].address),
              "a network inside another is left");
    for (size_t i = 0; i < ADDRESSES; i++) {
        uint8_t address[FPP_IPV6_SIZE];
        uint8_t family = any_family();
        any_address(family, address);
        if (count > 0 && i % 2 == 0) {
            const fpp_network *network = &given[random_below((uint32_t)count)];
            family = network->family;
            near_network(network, address);
        }
        check(fpp_in_networks(&networks, family, address) ==
                  in_list(given, count, family, address),
              "an address of family %d among %zu networks", family, count);
    }
}

/* Each second address is a network, so that every place in lists of every length is searched. */
static void check_places(size_t count)
{
    fpp_network networks[MOST];
    uint32_t room[2 * MOST + FPP_NETWORKS_ROOM];
    fpp_networks ordered;
    for (size_t i = 0; i < count; i++) {
        fpp_network network = {{10, 0, (uint8_t)(i >> 7), (uint8_t)(i << 1)}, FPP_FAMILY_INET, 32};
        networks[i] = network;
    }
    fpp_order_networks(&ordered, networks, count, room);
    for (size_t i = 0; i < 2 * MOST; i++) {
        const uint8_t address[] = {10, 0, (uint8_t)(i >> 8), (uint8_t)i};
        check(fpp_in_networks(&ordered, FPP_FAMILY_INET, address) == (i % 2 == 0 && i < 2 * count),
              "address %zu among %zu networks", i, count);
    }
}

static void check_ends(void)
{
    static const uint8_t LAST[FPP_IPV4_SIZE] = {255, 255, 255, 255};
    static const uint8_t FIRST[FPP_IPV4_SIZE] = {0, 0, 0, 0};
    fpp_network last = {{255, 255, 255, 255}, FPP_FAMILY_INET, 32};
    fpp_network first = {{0, 0, 0, 0}, FPP_FAMILY_INET, 8};
    uint32_t room[2 + FPP_NETWORKS_ROOM];
    fpp_networks networks;
    fpp_order_networks(&networks, &last, 1, room);
    check(fpp_in_networks(&networks, FPP_FAMILY_INET, LAST), "the last address in its network");
    check(!fpp_in_networks(&networks, FPP_FAMILY_INET, FIRST), "the first one in another");
    fpp_order_networks(&networks, &first, 1, room);
    check(!fpp_in_networks(&networks, FPP_FAMILY_INET, LAST), "the last address in another");
    check(fpp_in_networks(&networks, FPP_FAMILY_INET, FIRST), "the first one in its network");
    fpp_order_networks(&networks, &first, 0, room);
    check(!fpp_in_networks(&networks, FPP_FAMILY_INET, LAST), "the last address in none");
    check(!fpp_in_networks(&networks, FPP_FAMILY_INET, FIRST), "the first address in none");
}

void test_networks(void)
{
    trying("networks");
    guarded region = guarded_open((2 * MOST + FPP_NETWORKS_ROOM) * sizeof(uint32_t));
    guarded list = guarded_open(MOST * sizeof(fpp_network));
    for (uint32_t i = 0; i < LISTS; i++)
        check_list(region, list, i < 8 ? i / 2 : random_below(MOST + 1));
    for (size_t count = 0; count <= MOST; count++)
        check_places(count);
    check_ends();
    guarded_close(region);
    guarded_close(list);
}
