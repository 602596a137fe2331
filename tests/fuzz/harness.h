/* What the harnesses share. Each defines libFuzzer's LLVMFuzzerTestOneInput, whose input is any
 * bytes, in memory of exactly their size; assert() tells of a broken promise, the sanitizers of
 * the rest. */
#ifndef HARNESS_H
#define HARNESS_H

/* Whatever the core is compiled with, here it checks. */
#undef NDEBUG
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "../core/same.h"
#include "core.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The input, taken piece by piece; zeros follow its end. */
typedef struct {
    const uint8_t *at;
    size_t left;
} source;

static inline void take(source *from, void *out, size_t size)
{
    size_t taken = size < from->left ? size : from->left;
    memset(out, 0, size);
    if (taken > 0)
        memcpy(out, from->at, taken);
    from->at += taken;
    from->left -= taken;
}

static inline uint8_t take8(source *from)
{
    uint8_t value;
    take(from, &value, sizeof value);
    return value;
}

static inline uint16_t take16(source *from)
{
    uint8_t high = take8(from);
    return (uint16_t)(high << 8 | take8(from));
}

/* Memory of exactly that size, so that AddressSanitizer sees the next byte touched. */
static inline void *exactly(size_t size)
{
    void *memory = malloc(size);
    if (memory == NULL)
        abort();
    return memory;
}

static inline int is_inside(fpp_span span, uint32_t size)
{
    return span.offset <= size && span.length <= size - span.offset;
}

#endif
