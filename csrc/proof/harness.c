/* Every function of the API, called with anything that its contract allows: what "run" analyses.
 * Lengths and contents are unknown, and memory ends where its length says. What is admitted here,
 * not proved, is what calloc promises. */
#include <stdlib.h>

#include "__fc_builtin.h"
#include "core.c"

enum { MOST_TLVS = 2, MOST_NETWORKS = 1000 };

/* "run" has it inlined, so it needs no contract. */
static void *buffer(size_t size)
{
    char *data = calloc(size, 1);
    //@ admit \valid(data + (0 .. size - 1));
    Frama_C_make_unknown(data, size);
    return data;
}

/*@ requires holds(data, value);
    assigns \nothing; */
static void open_ssl(const uint8_t *data, fpp_span value)
{
    fpp_tlv tlv;
    fpp_ssl ssl;
    if (fpp_ssl_open(data, value, &ssl))
        /*@ loop invariant holds(data, ssl.tlvs);
            loop assigns ssl.tlvs, tlv; */
        while (fpp_tlv_next(data, &ssl.tlvs, &tlv) > 0)
            continue;
}

/*@ requires holds(data, tlvs);
    assigns \nothing; */
static void walk_tlvs(const uint8_t *data, fpp_span tlvs)
{
    fpp_tlv tlv;
    /*@ loop invariant holds(data, tlvs);
        loop assigns tlvs, tlv; */
    while (fpp_tlv_next(data, &tlvs, &tlv) > 0)
        open_ssl(data, tlv.value);
}

static void detect_and_parse(void)
{
    size_t length = Frama_C_size_t_interval(0, SIZE_MAX / 2);
    uint8_t *data = buffer(length);
    uint32_t max_size = Frama_C_unsigned_int_interval(0, UINT32_MAX);
    fpp_header header;
    fpp_error why;
    fpp_detect(data, length);
    if (fpp_parse(data, length, max_size, &header, &why) == FPP_STATUS_OK)
        walk_tlvs(data, header.tlvs);
}

static void read_and_format_address(void)
{
    size_t length = Frama_C_size_t_interval(0, SIZE_MAX / 2);
    char *text = buffer(length);
    uint8_t address[FPP_IPV6_SIZE] = {0};
    char out[FPP_ADDRESS_TEXT_SIZE];
    int family = Frama_C_interval(INT32_MIN, INT32_MAX);
    fpp_read_address(address, family, text, length);
    Frama_C_make_unknown((char *)address, sizeof address);
    fpp_format_address(out, family, address);
}

static void build(void)
{
    size_t capacity = Frama_C_size_t_interval(0, SIZE_MAX / 2);
    uint8_t *out = buffer(capacity);
    uint8_t *paths = buffer(2 * FPP_UNIX_PATH_SIZE);
    fpp_tlv_in tlvs[MOST_TLVS];
    fpp_header header = {0};
    size_t count = Frama_C_size_t_interval(0, MOST_TLVS);
    unsigned flags = Frama_C_unsigned_int_interval(0, UINT32_MAX);
    Frama_C_make_unknown((char *)&header, sizeof header);
    header.source_path.offset = 0;
    header.destination_path.offset = FPP_UNIX_PATH_SIZE;
    for (size_t i = 0; i < MOST_TLVS; i++) {
        tlvs[i].type = Frama_C_unsigned_char_interval(0, UINT8_MAX);
        tlvs[i].length = Frama_C_unsigned_short_interval(0, UINT16_MAX);
        tlvs[i].value = buffer(tlvs[i].length);
    }
    fpp_build(out, capacity, &header, paths, tlvs, count, flags);
}

static void order_and_search_networks(void)
{
    size_t count = Frama_C_size_t_interval(0, MOST_NETWORKS);
    fpp_network *networks = buffer(count * sizeof *networks);
    uint32_t *room = buffer((2 * count + FPP_NETWORKS_ROOM) * sizeof *room);
    uint8_t *address = buffer(FPP_IPV6_SIZE);
    int family = Frama_C_interval(INT32_MIN, INT32_MAX);
    fpp_networks ordered;
    fpp_order_networks(&ordered, networks, count, room);
    fpp_in_networks(&ordered, family, address);
}

int main(void)
{
    detect_and_parse();
    read_and_format_address();
    build();
    order_and_search_networks();
    fpp_crc32c_kind();
    return 0;
}
