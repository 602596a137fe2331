/* What the parts of the core's test program share. */
#ifndef CORE_TEST_H
#define CORE_TEST_H

#include <stddef.h>
#include <stdint.h>

#include "core.h"
#include "guarded.h"

/* Counts; a failure is printed. The format tells what was checked. */
#if defined(__GNUC__)
__attribute__((format(printf, 2, 3)))
#endif
void check(int good, const char *format, ...);

/* What is being tried, for the report of a failure or a crash. */
void trying(const char *subject);

/* The same numbers in every run, so that a failure can be repeated. */
uint32_t random_below(uint32_t bound);
void random_bytes(uint8_t *out, size_t size);

typedef struct {
    int status;
    fpp_header header; /* after OK */
    fpp_error why;     /* after anything else */
} verdict;

verdict judge(const uint8_t *data, size_t length);
int same_verdict(const verdict *left, const verdict *right);

/* A good header of exactly header->size bytes: whatever can be read out of it is in it. */
void walk(const uint8_t *data, const fpp_header *header);

void test_vectors(const char *path);
void test_faults(void);
void test_unknown(void);
void test_address(void);
void test_crc32c(void);
void test_build(void);
void test_networks(void);
void test_tlv(void);

#endif
