/* Reading untrusted bytes: the only place with pointer arithmetic on input.
 *
 * A view is the input and its length. Each function states what must hold of its offset;
 * the assertions check it in every build but NDEBUG, and the analyser proves it.
 */
#ifndef FPP_CURSOR_H
#define FPP_CURSOR_H

#include <assert.h>
#include <string.h>

#include "fastppv2.h"

typedef struct {
    const uint8_t *data;
    uint32_t length;
} fpp_view;

/* No header is longer than FPP_MAX_SIZE, so what lies beyond is never looked at. */
static inline fpp_view fpp_view_of(const uint8_t *data, size_t length)
{
    fpp_view view = {data, length < FPP_MAX_SIZE ? (uint32_t)length : FPP_MAX_SIZE};
    return view;
}

static inline int fpp_has(fpp_view view, uint32_t offset, uint32_t count)
{
    return offset <= view.length && count <= view.length - offset;
}

static inline const uint8_t *fpp_at(fpp_view view, uint32_t offset, uint32_t count)
{
    assert(fpp_has(view, offset, count));
    (void)count;
    return view.data + offset;
}

static inline uint8_t fpp_u8(fpp_view view, uint32_t offset)
{
    return *fpp_at(view, offset, 1);
}

static inline uint16_t fpp_u16(fpp_view view, uint32_t offset)
{
    const uint8_t *at = fpp_at(view, offset, 2);
    return (uint16_t)(at[0] << 8 | at[1]);
}

static inline uint32_t fpp_u32(fpp_view view, uint32_t offset)
{
    const uint8_t *at = fpp_at(view, offset, 4);
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

/* Text is compared and computed with eight or four bytes at a time, the first of them in the
 * lowest eight bits whatever the byte order of the machine. */
static inline uint64_t fpp_load8(const uint8_t at[8])
{
    return (uint64_t)at[7] << 56 | (uint64_t)at[6] << 48 | (uint64_t)at[5] << 40 |
           (uint64_t)at[4] << 32 | (uint64_t)at[3] << 24 | (uint64_t)at[2] << 16 |
           (uint64_t)at[1] << 8 | at[0];
}

static inline uint32_t fpp_load4(const uint8_t at[4])
{
    return (uint32_t)at[3] << 24 | (uint32_t)at[2] << 16 | (uint32_t)at[1] << 8 | at[0];
}

/* The text at offset; zeros, which no v1 line contains, stand for what lies behind the end. */
static inline uint64_t fpp_text8(fpp_view view, uint32_t offset)
{
    uint64_t text = 0;
    if (view.length < sizeof text) {
        /*@ loop invariant i == 0 || offset + i <= view.length;
            loop assigns i, text;
            loop variant view.length - i; */
        for (uint32_t i = 0; fpp_has(view, offset, i + 1); i++)
            text |= (uint64_t)fpp_u8(view, offset + i) << (8 * i);
        return text;
    }
    /* No branch on where the end is, for that cannot be predicted. */
    uint32_t last = view.length - 8;
    uint32_t at = offset < last ? offset : last;
    text = fpp_load8(fpp_at(view, at, 8));
    uint32_t missing = offset - at;
    return missing < 8 ? text >> (8 * missing) : 0;
}

static inline uint32_t fpp_text4(fpp_view view, uint32_t offset)
{
    return fpp_has(view, offset, 4) ? fpp_load4(fpp_at(view, offset, 4))
                                    : (uint32_t)fpp_text8(view, offset);
}

static inline uint8_t fpp_text(fpp_view view, uint32_t offset)
{
    return offset < view.length ? fpp_u8(view, offset) : 0;
}

/* Where the byte stands first in [offset, end), or end. */
static inline uint32_t fpp_find(fpp_view view, uint32_t offset, uint32_t end, uint8_t byte)
{
    if (offset >= end)
        return end;
    const uint8_t *found = memchr(fpp_at(view, offset, end - offset), byte, end - offset);
    return found == NULL ? end : (uint32_t)(found - view.data);
}

static inline int fpp_equal(fpp_view view, uint32_t offset, const void *expected, uint32_t count)
{
    return fpp_has(view, offset, count) &&
           memcmp(fpp_at(view, offset, count), expected, count) == 0;
}

static inline void fpp_copy(void *out, fpp_view view, uint32_t offset, uint32_t count)
{
    memcpy(out, fpp_at(view, offset, count), count);
}

#endif
