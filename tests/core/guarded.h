/* Memory between two pages that nobody may touch: reading or writing one byte too far crashes. */
#ifndef GUARDED_H
#define GUARDED_H

#include <stddef.h>
#include <stdint.h>

typedef struct {
    uint8_t *first;
    size_t room; /* whole pages, so that both ends touch a guard */
} guarded;

guarded guarded_open(size_t room);
void guarded_close(guarded region);

/* Copies bytes into the region and tells where they are: up to the guard behind, or right after
 * the guard in front. */
uint8_t *guarded_at_end(guarded region, const void *bytes, size_t size);
uint8_t *guarded_at_start(guarded region, const void *bytes, size_t size);

/* Has a crash say what *subject was, before whoever handled crashes so far handles it. */
void guarded_name_crashes(const char *subject);

#endif
