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

/* Four bytes, the first in the lowest eight bits whatever the byte order of the machine; zeros,
 * which no v1 line contains, stand for what lies behind the end. */
static inline uint32_t fpp_text4(fpp_view view, uint32_t offset)
{
    uint8_t at[4] = {0, 0, 0, 0};
    if (fpp_has(view, offset, 4))
        memcpy(at, fpp_at(view, offset, 4), 4);
    else
        for (uint32_t i = 0; fpp_has(view, offset, i + 1); i++)
            at[i] = fpp_u8(view, offset + i);
    return (uint32_t)at[3] << 24 | (uint32_t)at[2] << 16 | (uint32_t)at[1] << 8 | at[0];
}

/* Likewise one byte: 0 behind the end. */
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
