/* What the files of the core offer one another; not part of the API. */
#ifndef FPP_CORE_H
#define FPP_CORE_H

#include "cursor.h"

#if defined(__SSE2__) && !defined(FPP_PORTABLE)
#include <emmintrin.h>
#endif

/* Of what hardly ever runs: called, lest what often runs saves registers for it. */
#if defined(__GNUC__)
#define FPP_RARE __attribute__((cold, noinline))
#else
#define FPP_RARE
#endif

/* v1.c, v2.c: the signature is known to be there. */
int fpp_v1_parse(fpp_view input, fpp_header *out, fpp_error *why);
int fpp_v2_parse(fpp_view input, uint32_t max_size, fpp_header *out, fpp_error *why);

/* tlv.c: the chain from offset from to the end of the header (2.2, 2.2.3, 2.2.5). */
int fpp_tlv_whole(fpp_view header, uint32_t from);
int fpp_tlv_check(fpp_view header, uint32_t from, fpp_error *why);

/* A mark, in the lowest eight bits, for each of eight bytes that is no digit. After the exclusive
 * or a digit is 0..9, and adding 0x76 sets the high bit of anything larger; the product gathers
 * the high bits. */
static inline uint32_t fpp_non_digits(uint64_t text)
{
    uint64_t values = text ^ 0x3030303030303030u;
    uint64_t marks = (values | ((values & 0x7F7F7F7F7F7F7F7Fu) + 0x7676767676767676u)) >> 7 &
                     0x0101010101010101u;
    return (uint32_t)(marks * 0x0102040810204080u >> 56);
}

/* Likewise for each that equals byte. */
static inline uint32_t fpp_equal8(uint64_t text, uint8_t byte)
{
    uint64_t differ = text ^ (0x0101010101010101u * byte);
    uint64_t marks = ~(differ | ((differ & 0x7F7F7F7F7F7F7F7Fu) + 0x7F7F7F7F7F7F7F7Fu)) >> 7 &
                     0x0101010101010101u;
    return (uint32_t)(marks * 0x0102040810204080u >> 56);
}

/* Both for sixteen bytes, which every x86-64 compares and writes at once: '0'..'9' are what is at
 * least 0x80 - 10 as a signed byte once '0' has become 0x80 - 10. */
#if defined(__SSE2__) && !defined(FPP_PORTABLE)
static inline __m128i fpp_load16(const uint8_t text[16])
{
    __m128i bytes;
    memcpy(&bytes, text, sizeof bytes);
    return bytes;
}

static inline uint32_t fpp_non_digits16(const uint8_t text[16])
{
    __m128i moved = _mm_add_epi8(fpp_load16(text), _mm_set1_epi8((char)(0x7F - '9')));
    return (uint32_t)_mm_movemask_epi8(_mm_cmpgt_epi8(_mm_set1_epi8(0x7F - 9), moved));
}

static inline uint32_t fpp_equal16(const uint8_t text[16], uint8_t byte)
{
    __m128i equal = _mm_cmpeq_epi8(fpp_load16(text), _mm_set1_epi8((char)byte));
    return (uint32_t)_mm_movemask_epi8(equal);
}

static inline void fpp_store16(uint8_t out[16], uint64_t low, uint64_t high)
{
    __m128i bytes = _mm_set_epi64x((long long)high, (long long)low);
    memcpy(out, &bytes, sizeof bytes);
}
#else
static inline uint32_t fpp_non_digits16(const uint8_t text[16])
{
    return fpp_non_digits(fpp_load8(text)) | fpp_non_digits(fpp_load8(text + 8)) << 8;
}

static inline uint32_t fpp_equal16(const uint8_t text[16], uint8_t byte)
{
    return fpp_equal8(fpp_load8(text), byte) | fpp_equal8(fpp_load8(text + 8), byte) << 8;
}

static inline void fpp_store16(uint8_t out[16], uint64_t low, uint64_t high)
{
    /*@ loop invariant i <= 8;
        loop assigns i, out[0 .. 15];
        loop variant 8 - i; */
    for (uint32_t i = 0; i < 8; i++) {
        out[i] = (uint8_t)(low >> (8 * i));
        out[8 + i] = (uint8_t)(high >> (8 * i));
    }
}
#endif

/* The place of the lowest mark; there is one. */
static inline uint32_t fpp_first_mark(uint32_t marks)
{
#if defined(__GNUC__)
    return (uint32_t)__builtin_ctz(marks);
#else
    uint32_t at = 0;
    /*@ loop unroll 32;
        loop invariant at < 32;
        loop assigns at;
        loop variant 32 - at; */
    while (at < 31 && (marks >> at & 1) == 0)
        at++;
    return at;
#endif
}

/* address.c: text at offset at; the number of bytes read, or 0. */
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
