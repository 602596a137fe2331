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

/* Eight bytes of text, the first in the lowest eight bits whatever the byte order of the machine;
 * zeros, which no v1 line contains, stand for what lies behind the end. */
static inline uint64_t fpp_text8(fpp_view view, uint32_t offset)
{
    uint64_t text = 0;
    if (fpp_has(view, offset, 8)) {
        const uint8_t *at = fpp_at(view, offset, 8);
        return (uint64_t)at[7] << 56 | (uint64_t)at[6] << 48 | (uint64_t)at[5] << 40 |
               (uint64_t)at[4] << 32 | (uint64_t)at[3] << 24 | (uint64_t)at[2] << 16 |
               (uint64_t)at[1] << 8 | at[0];
    }
    for (uint32_t i = 0; fpp_has(view, offset, i + 1); i++)
        text |= (uint64_t)fpp_u8(view, offset + i) << (8 * i);
    return text;
}

/* Likewise four. */
static inline uint32_t fpp_text4(fpp_view view, uint32_t offset)
{
    if (fpp_has(view, offset, 4)) {
        const uint8_t *at = fpp_at(view, offset, 4);
        return (uint32_t)at[3] << 24 | (uint32_t)at[2] << 16 | (uint32_t)at[1] << 8 | at[0];
    }
    return (uint32_t)fpp_text8(view, offset);
}

/* Likewise one. */
static inline uint8_t fpp_text(fpp_view view, uint32_t offset)
{
    return offset < view.length ? fpp_u8(view, offset) : 0;
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
