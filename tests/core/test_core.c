/* The core's own test program: core VECTORS [SUBJECT...], the file that test_core.py writes and, if
 * not everything, what to test. The last line says how many checks passed and failed. */
#include "core_test.h"
#include "same.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { ENOUGH = 20 }; /* failures, to know what is wrong */

static unsigned long passed, failed;
static char subject[200] = "start";

void trying(const char *what)
{
    snprintf(subject, sizeof subject, "%s", what);
}

static int report(void)
{
    printf("%lu passed, %lu failed\n", passed, failed);
    return failed > 0 || passed == 0;
}

void check(int good, const char *format, ...)
{
    va_list arguments;
    if (good) {
        passed++;
        return;
    }
    failed++;
    printf("FAILED %s: ", subject);
    va_start(arguments, format);
    vprintf(format, arguments);
    va_end(arguments);
    printf("\n");
    if (failed == ENOUGH)
        exit(report());
}

/* splitmix64 (Steele, Lea, Flood 2014). */
static uint64_t random64(void)
{
    static uint64_t state = 2026;
    uint64_t mixed = state += 0x9E3779B97F4A7C15u;
    mixed = (mixed ^ mixed >> 30) * 0xBF58476D1CE4E5B9u;
    mixed = (mixed ^ mixed >> 27) * 0x94D049BB133111EBu;
    return mixed ^ mixed >> 31;
}

uint32_t random_below(uint32_t bound)
{
    return (uint32_t)(random64() % bound);
}

void random_bytes(uint8_t *out, size_t size)
{
    for (size_t i = 0; i < size; i++)
        out[i] = (uint8_t)random64();
}

verdict judge(const uint8_t *data, size_t length)
{
    verdict found;
    memset(&found, 0, sizeof found);
    found.status = fpp_parse(data, length, FPP_MAX_SIZE, &found.header, &found.why);
    return found;
}

int same_verdict(const verdict *left, const verdict *right)
{
    if (left->status != right->status)
        return 0;
    if (left->status == FPP_STATUS_OK)
        return same_header(&left->header, &right->header);
    return left->why.offset == right->why.offset && left->why.needed == right->why.needed;
}

static int is_inside(const fpp_header *header, fpp_span span)
{
    return span.offset <= header->size && span.length <= header->size - span.offset;
}

static void walk_ssl(const uint8_t *data, fpp_span value, const fpp_header *header)
{
    fpp_ssl ssl;
    fpp_tlv tlv;
    int found;
    if (!fpp_ssl_open(data, value, &ssl))
        return;
    while ((found = fpp_tlv_next(data, &ssl.tlvs, &tlv)) > 0)
        check(is_inside(header, tlv.value), "a sub-TLV ends behind the header");
    check(found == 0, "an opened SSL value has a broken chain");
}

void walk(const uint8_t *data, const fpp_header *header)
{
    fpp_span rest = header->tlvs;
    fpp_tlv tlv;
    int found;
    check(is_inside(header, rest), "the TLVs end behind the header");
    check(is_inside(header, header->source_path), "the source path ends behind the header");
    check(is_inside(header, header->destination_path), "the other path ends behind the header");
    while ((found = fpp_tlv_next(data, &rest, &tlv)) > 0) {
        check(is_inside(header, tlv.value), "a TLV ends behind the header");
        walk_ssl(data, tlv.value, header); /* whatever its type: any bytes must be safe */
    }
    check(found == 0, "a good header has a broken chain");
    check(rest.offset == header->size && rest.length == 0, "TLVs that do not end at the end");
}

static int is_wanted(char **wanted, const char *name)
{
    int all = *wanted == NULL;
    for (; *wanted != NULL; wanted++)
        all |= strcmp(*wanted, name) == 0;
    return all;
}

static const struct {
    const char *name;
    void (*test)(void);
} SUBJECTS[] = {
    {"faults", test_faults}, {"unknown", test_unknown}, {"address", test_address},
    {"crc32c", test_crc32c}, {"build", test_build},     {"networks", test_networks},
    {"tlv", test_tlv},
};

int main(int count, char **arguments)
{
    if (count < 2) {
        fprintf(stderr, "usage: core VECTORS [SUBJECT...]\n");
        return 2;
    }
    guarded_name_crashes(subject);
    if (is_wanted(arguments + 2, "vectors"))
        test_vectors(arguments[1]);
    for (size_t i = 0; i < sizeof SUBJECTS / sizeof *SUBJECTS; i++)
        if (is_wanted(arguments + 2, SUBJECTS[i].name))
            SUBJECTS[i].test();
    printf("crc32c: %s\n", fpp_crc32c_kind());
    return report();
}
