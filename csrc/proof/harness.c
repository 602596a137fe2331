/* The core as Frama-C's Eva sees it: every function that reads foreign bytes, on any bytes, in
 * buffers exactly as long as they are said to be. "run" analyses each of the functions below that
 * has no static in front, with the lengths FROM to TO. The assumptions are in README.md.
 *
 * Two kinds of buffer make "exactly as long" precise, though Eva relates no two variables:
 * - of a single length: an allocation of that size, so nothing on either side may be touched;
 * - of a range of lengths: the bytes end where an array ends, so nothing behind may be touched.
 *   In front of them nothing can be: offsets are unsigned and only ever added.
 */
#include <stdlib.h>

#include "__fc_builtin.h"
#include "core.h"

/* The chain of TLVs is left out while the rest of the parser is analysed, and analysed for itself
 * with just what is required here. */
/*@ requires \valid_read(header.data + (0 .. header.length - 1));
    requires \initialized(header.data + (0 .. header.length - 1));
    requires from <= header.length <= 65551;
    assigns \result \from from, header.length, header.data[0 .. header.length - 1]; */
int fpp_tlv_whole(fpp_view header, uint32_t from);

/*@ requires \valid_read(header.data + (0 .. header.length - 1));
    requires \initialized(header.data + (0 .. header.length - 1));
    requires from <= header.length <= 65551;
    requires \valid(why);
    assigns \result, *why \from from, header.length, header.data[0 .. header.length - 1]; */
int fpp_tlv_check(fpp_view header, uint32_t from, fpp_error *why);

/* One translation unit, as in the extension: an inline function is one function. */
#include "address.c"
#include "build.c"
#include "crc32c.c"
#include "parse.c"
#include "tlv.c"
#include "v1.c"
#include "v2.c"

typedef void subject(const uint8_t *data, uint32_t length);

static uint8_t room[FPP_MAX_SIZE];

static void *unknown(void *at, size_t size)
{
    Frama_C_make_unknown(at, size);
    return at;
}

static void try_each(subject *try)
{
    /*@ loop unroll TO - FROM + 1; */
    for (uint32_t length = FROM; length <= TO; length++) {
        uint8_t *data = malloc(length);
        try(unknown(data, length), length);
        free(data);
    }
}

static void try_range(subject *try)
{
    uint32_t length = Frama_C_interval(FROM, TO);
    unknown(room, sizeof room);
    try(room + sizeof room - length, length);
}

static void parse(const uint8_t *data, uint32_t length)
{
    fpp_header header;
    fpp_error why;
    uint32_t max_size = Frama_C_interval(FPP_V2_HEAD_SIZE, FPP_MAX_SIZE);
    fpp_detect(data, length);
    fpp_parse(data, length, max_size, &header, &why);
}

void parse_each(void)
{
    try_each(parse);
}

void parse_range(void)
{
    try_range(parse);
}

/* What fpp_parse does with a header that has a chain of TLVs, wherever it begins. */
static void check_chain(const uint8_t *data, uint32_t length)
{
    fpp_view header = {data, length};
    fpp_error why;
    uint32_t from = Frama_C_interval(0, (int)length);
    fpp_tlv_whole(header, from);
    fpp_tlv_check(header, from, &why);
}

void check_chain_each(void)
{
    try_each(check_chain);
}

void check_chain_range(void)
{
    try_range(check_chain);
}

/* What a caller does with the TLVs: takes them one by one, and opens any as SSL. */
static void walk_chain(const uint8_t *data, uint32_t length)
{
    uint32_t from = Frama_C_interval(0, (int)length);
    fpp_span rest = {from, length - from};
    fpp_tlv tlv;
    fpp_ssl ssl;
    while (fpp_tlv_next(data, &rest, &tlv) > 0)
        if (fpp_ssl_open(data, tlv.value, &ssl))
            while (fpp_tlv_next(data, &ssl.tlvs, &tlv) > 0)
                continue;
}

void walk_chain_each(void)
{
    try_each(walk_chain);
}

void walk_chain_range(void)
{
    try_range(walk_chain);
}

static void read_address(const uint8_t *text, uint32_t length)
{
    uint8_t address[FPP_IPV6_SIZE];
    fpp_read_address(address, FPP_FAMILY_INET, (const char *)text, length);
    fpp_read_address(address, FPP_FAMILY_INET6, (const char *)text, length);
}

void read_address_each(void)
{
    try_each(read_address);
}

void read_address_range(void)
{
    try_range(read_address);
}

void format_address(void)
{
    char text[FPP_ADDRESS_TEXT_SIZE];
    uint8_t inet[FPP_IPV4_SIZE];
    uint8_t inet6[FPP_IPV6_SIZE];
    fpp_format_address(text, FPP_FAMILY_INET, unknown(inet, sizeof inet));
    fpp_format_address(text, FPP_FAMILY_INET6, unknown(inet6, sizeof inet6));
}

/* A v1 line into every capacity. */
static void build_line(const uint8_t *out, uint32_t capacity)
{
    fpp_header header;
    unknown(&header, sizeof header);
    header.version = 1;
    fpp_build((uint8_t *)out, capacity, &header, NULL, NULL, 0, 0);
}

void build_line_each(void)
{
    try_each(build_line);
}

/* A v2 header of any kind into exactly the room that it asks for. */
static void build_exactly(uint8_t family, const uint8_t *paths, const fpp_tlv_in *tlvs,
                          size_t count, unsigned flags)
{
    fpp_header header;
    unknown(&header, sizeof header);
    header.version = 2;
    header.family = family;
    header.source_path.offset = 0;
    header.destination_path.offset = FPP_UNIX_PATH_SIZE;
    size_t size = fpp_block_size(family) + FPP_V2_HEAD_SIZE;
    for (size_t i = 0; i < count; i++)
        size += FPP_TLV_HEAD_SIZE + (size_t)tlvs[i].length;
    if (flags == 0) {
        uint8_t *out = malloc(size);
        fpp_build(out, size, &header, paths, tlvs, count, flags);
        free(out);
    } else { /* with the checksum among the TLVs or added to them, or one byte short */
        for (size_t more = 0; more <= 7; more++) {
            uint8_t *out = malloc(size + more);
            fpp_build(out, size + more, &header, paths, tlvs, count, flags);
            free(out);
        }
    }
}

/* Two TLVs of any type, the first FROM to TO bytes long. */
void build_block_each(void)
{
    static const uint16_t OTHER[] = {0, 1, 4, 128, 129, 65535};
    uint8_t paths[2 * FPP_UNIX_PATH_SIZE];
    unknown(paths, sizeof paths);
    /*@ loop unroll TO - FROM + 1; */
    for (uint32_t length = FROM; length <= TO; length++)
        /*@ loop unroll 6; */
        for (uint32_t other = 0; other < sizeof OTHER / sizeof *OTHER; other++)
            /*@ loop unroll 5; */
            for (uint8_t family = 0; family <= FPP_FAMILY_UNIX + 1; family++) {
                fpp_tlv_in tlvs[2];
                uint8_t *first = malloc(length);
                uint8_t *second = malloc(OTHER[other]);
                unknown(tlvs, sizeof tlvs);
                tlvs[0].length = (uint16_t)length;
                tlvs[0].value = unknown(first, length);
                tlvs[1].length = OTHER[other];
                tlvs[1].value = unknown(second, OTHER[other]);
                build_exactly(family, paths, tlvs, 2, 0);
                build_exactly(family, paths, tlvs, 2, FPP_BUILD_CHECKSUM);
                build_exactly(family, paths, NULL, 0, FPP_BUILD_CHECKSUM);
                free(first);
                free(second);
            }
}
