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
#ifdef TLVS_BY_CONTRACT
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
#endif

/* One translation unit, as in the extension: an inline function is one function. */
#include "address.c"
#include "build.c"
#include "crc32c.c"
#include "networks.c"
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

static void any_parse(const uint8_t *data, uint32_t length)
{
    fpp_header header;
    fpp_error why;
    uint32_t max_size = Frama_C_interval(FPP_V2_HEAD_SIZE, FPP_MAX_SIZE);
    fpp_detect(data, length);
    fpp_parse(data, length, max_size, &header, &why);
}

void parse_each(void)
{
    try_each(any_parse);
}

void parse_range(void)
{
    try_range(any_parse);
}

/* What fpp_parse does with a header that has a chain of TLVs, wherever it begins. */
static void any_check_chain(const uint8_t *data, uint32_t length)
{
    fpp_view header = {data, length};
    fpp_error why;
    uint32_t from = Frama_C_interval(0, (int)length);
    fpp_tlv_whole(header, from);
    fpp_tlv_check(header, from, &why);
}

void check_chain_each(void)
{
    try_each(any_check_chain);
}

void check_chain_range(void)
{
    try_range(any_check_chain);
}

/* What a caller does with the TLVs: takes them one by one, and opens any as SSL. */
static void any_walk_chain(const uint8_t *data, uint32_t length)
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
    try_each(any_walk_chain);
}

void walk_chain_range(void)
{
    try_range(any_walk_chain);
}

static void any_read_address(const uint8_t *text, uint32_t length)
{
    uint8_t address[FPP_IPV6_SIZE];
    fpp_read_address(address, FPP_FAMILY_INET, (const char *)text, length);
    fpp_read_address(address, FPP_FAMILY_INET6, (const char *)text, length);
}

void read_address_each(void)
{
    try_each(any_read_address);
}

void read_address_range(void)
{
    try_range(any_read_address);
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
static void any_build_line(const uint8_t *out, uint32_t capacity)
{
    fpp_header header;
    unknown(&header, sizeof header);
    header.version = 1;
    fpp_build((uint8_t *)out, capacity, &header, NULL, NULL, 0, 0);
}

void build_line_each(void)
{
    try_each(any_build_line);
}

/* A v2 header with one TLV of any type before an empty one, into exactly size bytes. */
static void any_build_block(uint8_t family, const uint8_t *paths, uint32_t length, size_t size,
                            unsigned flags)
{
    fpp_header header;
    fpp_tlv_in tlvs[2];
    uint8_t *value = malloc(length);
    uint8_t *out = malloc(size);
    unknown(&header, sizeof header);
    header.version = 2;
    header.family = family;
    header.source_path.offset = 0;
    header.destination_path.offset = FPP_UNIX_PATH_SIZE;
    unknown(tlvs, sizeof tlvs);
    tlvs[0].length = (uint16_t)length;
    tlvs[0].value = unknown(value, length);
    tlvs[1].length = 0;
    tlvs[1].value = NULL;
    fpp_build(out, size, &header, paths, tlvs, 2, flags);
    free(out);
    free(value);
}

/* Every family and one that does not exist; room for all of it, with a checksum added, for one
 * byte less, and for the head alone. */
void build_block_each(void)
{
    enum { TLVS = 2 * FPP_TLV_HEAD_SIZE, CHECKSUM = FPP_TLV_HEAD_SIZE + FPP_CRC32C_SIZE };
    uint8_t paths[2 * FPP_UNIX_PATH_SIZE];
    unknown(paths, sizeof paths);
    /*@ loop unroll TO - FROM + 1; */
    for (uint32_t length = FROM; length <= TO; length++)
        /*@ loop unroll FPP_FAMILY_UNIX + 2; */
        for (uint8_t family = 0; family <= FPP_FAMILY_UNIX + 1; family++) {
            size_t size = FPP_V2_HEAD_SIZE + fpp_block_size(family) + TLVS + length;
            any_build_block(family, paths, length, FPP_V2_HEAD_SIZE, 0);
            any_build_block(family, paths, length, size, 0);
            any_build_block(family, paths, length, size - 1, 0);
            any_build_block(family, paths, length, size, FPP_BUILD_CHECKSUM);
            any_build_block(family, paths, length, size + CHECKSUM, FPP_BUILD_CHECKSUM);
            any_build_block(family, paths, length, size + CHECKSUM - 1, FPP_BUILD_CHECKSUM);
        }
}
