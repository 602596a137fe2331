/* What the files of the core offer one another; not part of the API. */
#ifndef FPP_CORE_H
#define FPP_CORE_H

#include "cursor.h"

/* v1.c, v2.c: the signature is known to be there. */
int fpp_v1_parse(fpp_view input, fpp_header *out, fpp_error *why);
int fpp_v2_parse(fpp_view input, uint32_t max_size, fpp_header *out, fpp_error *why);

/* tlv.c: the chain from offset from to the end of the header (2.2, 2.2.3, 2.2.5). */
int fpp_tlv_whole(fpp_view header, uint32_t from);
int fpp_tlv_check(fpp_view header, uint32_t from, fpp_error *why);

/* address.c: text at offset at; the number of bytes read, or 0. */
uint32_t fpp_ipv4_text(fpp_view text, uint32_t at, uint8_t address[FPP_IPV4_SIZE]);
uint32_t fpp_ipv6_text(fpp_view text, uint32_t at, uint8_t address[FPP_IPV6_SIZE]);

/* crc32c.c: the portable twin, for the tests. */
uint32_t fpp_crc32c_by_table(uint32_t crc, const uint8_t *data, size_t length);

/* The size of the address block of a v2 header (2.2). */
static inline uint32_t fpp_block_size(uint8_t family)
{
    switch (family) {
    case FPP_FAMILY_INET:
        return FPP_INET_BLOCK_SIZE;
    case FPP_FAMILY_INET6:
        return FPP_INET6_BLOCK_SIZE;
    case FPP_FAMILY_UNIX:
        return FPP_UNIX_BLOCK_SIZE;
    default:
        return 0;
    }
}

static inline int fpp_fault(fpp_error *why, int status, uint32_t offset)
{
    why->offset = offset;
    why->needed = 0;
    return status;
}

static inline int fpp_incomplete(fpp_error *why, uint32_t needed)
{
    why->offset = 0;
    why->needed = needed;
    return FPP_STATUS_INCOMPLETE;
}

#endif
