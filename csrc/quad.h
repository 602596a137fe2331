/* Canonical dotted quads. Inline, because a v1 line has two and calls cost it a tenth. */
#ifndef FPP_QUAD_H
#define FPP_QUAD_H

#include "core.h"

/* The longest dotted quad has 15 bytes, so its end is seen in 16. Where a text has not four ends of
 * numbers there, the missing ones are behind it. */
enum { FPP_QUAD_SIZE = 16 };
#define FPP_ENDS_BEHIND (UINT32_MAX << FPP_QUAD_SIZE)

/* Where each number starts, and where a fifth one would. */
typedef struct {
    uint32_t start[FPP_IPV4_SIZE + 1];
} fpp_quad;

/* Where the number behind the next end starts. */
static inline uint32_t fpp_next_start(uint32_t *ends)
{
    uint32_t end = fpp_first_mark(*ends);
    *ends &= *ends - 1;
    return end + 1;
}

/* Whether from one start to the next there is room for one to three digits and a dot. */
static inline int fpp_is_number(uint32_t start, uint32_t next)
{
    uint32_t size = next - start;
    return size >= 2 && size <= 4;
}

/* Four numbers of one to three digits, dots between them, no heading zero. All bytes are judged at
 * once, for the lengths of numbers cannot be predicted: one after the other would wait for each in
 * turn, and branches would be guessed wrong. */
static inline int fpp_split_quad(const uint8_t text[FPP_QUAD_SIZE], fpp_quad *out)
{
    uint32_t all = fpp_non_digits16(text) | FPP_ENDS_BEHIND;
    uint32_t rest = all;
    out->start[0] = 0;
    out->start[1] = fpp_next_start(&rest);
    out->start[2] = fpp_next_start(&rest);
    out->start[3] = fpp_next_start(&rest);
    out->start[4] = fpp_next_start(&rest);
    if (!fpp_is_number(out->start[0], out->start[1]) ||
        !fpp_is_number(out->start[1], out->start[2]) ||
        !fpp_is_number(out->start[2], out->start[3]) ||
        !fpp_is_number(out->start[3], out->start[4]))
        return 0;
    uint32_t inside = (1u << (out->start[4] - 1)) - 1;
    uint32_t starts = all << 1 | 1;
    uint32_t no_dot = all & ~fpp_equal16(text, '.');
    uint32_t heading_zero = starts & fpp_equal16(text, '0') & ~(all >> 1);
    return ((no_dot | heading_zero) & inside) == 0;
}

/* The digits of a number, its last in the highest of four bytes, with zeros in front. */
static inline uint64_t fpp_digits_of(const uint8_t text[FPP_QUAD_SIZE], uint32_t start,
                                     uint32_t next)
{
    uint64_t digits = fpp_load4(text + start) ^ 0x30303030u;
    return (uint32_t)(digits << (8 * (5 + start - next)));
}

/* The values of four numbers, two in each word, of the bytes 0, hundreds, tens and units; 0 where
 * one of them is above 255. */
#if defined(__SSE2__) && !defined(FPP_PORTABLE)
static inline int fpp_weigh4(uint64_t first, uint64_t second, uint8_t values[4])
{
    __m128i digits = _mm_set_epi64x((long long)second, (long long)first);
    __m128i tens = _mm_madd_epi16(_mm_and_si128(digits, _mm_set1_epi16(0xFF)),
                                  _mm_set1_epi32(10 << 16));
    __m128i others = _mm_madd_epi16(_mm_srli_epi16(digits, 8), _mm_set1_epi32(100 | 1 << 16));
    __m128i sums = _mm_add_epi32(tens, others);
    if (_mm_movemask_epi8(_mm_cmpgt_epi32(sums, _mm_set1_epi32(UINT8_MAX))) != 0)
        return 0;
    __m128i words = _mm_packs_epi32(sums, sums);
    int bytes = _mm_cvtsi128_si32(_mm_packus_epi16(words, words));
    memcpy(values, &bytes, sizeof bytes);
    return 1;
}
#else
/* Two of them side by side: the upper 16 of each 32 bits. Below stands something harmless. */
static inline uint64_t fpp_weigh2(uint64_t digits)
{
    uint64_t tens = digits & 0x00FF00FF00FF00FFu;
    uint64_t others = digits >> 8 & 0x00FF00FF00FF00FFu;
    return tens * 10 + others * (1 + (100u << 16));
}

static inline int fpp_weigh4(uint64_t first, uint64_t second, uint8_t values[4])
{
    first = fpp_weigh2(first);
    second = fpp_weigh2(second);
    values[0] = (uint8_t)(first >> 16);
    values[1] = (uint8_t)(first >> 48);
    values[2] = (uint8_t)(second >> 16);
    values[3] = (uint8_t)(second >> 48);
    return ((first | second) & 0xFF000000FF000000u) == 0;
}
#endif

static inline uint32_t fpp_read_quad(const uint8_t text[FPP_QUAD_SIZE],
                                     uint8_t address[FPP_IPV4_SIZE])
{
    fpp_quad q;
    if (!fpp_split_quad(text, &q))
        return 0;
    uint64_t first = fpp_digits_of(text, q.start[0], q.start[1]) |
                     fpp_digits_of(text, q.start[1], q.start[2]) << 32;
    uint64_t second = fpp_digits_of(text, q.start[2], q.start[3]) |
                      fpp_digits_of(text, q.start[3], q.start[4]) << 32;
    return fpp_weigh4(first, second, address) ? q.start[4] - 1 : 0;
}

/* Text at offset at; the number of bytes read, or 0. */
static inline uint32_t fpp_ipv4_text(fpp_view text, uint32_t at, uint8_t address[FPP_IPV4_SIZE])
{
    uint8_t copy[FPP_QUAD_SIZE];
    if (fpp_has(text, at, FPP_QUAD_SIZE))
        return fpp_read_quad(fpp_at(text, at, FPP_QUAD_SIZE), address);
    /* Near the end of the text. Written at once, for it is read at once: to gather shorter writes
     * would make the processor wait as long as all the rest takes. */
    fpp_store16(copy, fpp_text8(text, at), fpp_text8(text, at + 8));
    return fpp_read_quad(copy, address);
}

#endif
