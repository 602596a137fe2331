/* CRC32C: the instruction against the table, the table against a known answer. */
#include "core_test.h"

enum { LONGEST = 300, ALIGNMENTS = 16 };

static void check_length(guarded region, uint32_t alignment, size_t length)
{
    uint8_t bytes[LONGEST + ALIGNMENTS];
    random_bytes(bytes, sizeof bytes);
    const uint8_t *at = guarded_at_start(region, bytes, sizeof bytes) + alignment;
    uint32_t whole = fpp_crc32c_by_table(0, at, length);
    check(fpp_crc32c(0, at, length) == whole, "%zu bytes at %u", length, alignment);
    size_t split = random_below((uint32_t)length + 1);
    check(fpp_crc32c(fpp_crc32c(0, at, split), at + split, length - split) == whole,
          "%zu bytes at %u, split at %zu", length, alignment, split);
    split = random_below((uint32_t)length + 1);
    uint32_t begun = fpp_crc32c_by_table(0, at, split);
    check(fpp_crc32c_by_table(begun, at + split, length - split) == whole,
          "%zu bytes at %u, split at %zu, by table", length, alignment, split);
    at = guarded_at_end(region, at, length);
    check(fpp_crc32c(0, at, length) == whole, "%zu bytes at the guard behind", length);
    check(fpp_crc32c_by_table(0, at, length) == whole, "%zu bytes there by table", length);
}

void test_crc32c(void)
{
    static const char *const KINDS[] = {"sse4.2", "armv8", "table"};
    static const uint8_t DIGITS[] = "123456789";
    /* RFC 3720 B.4. */
    uint8_t bytes[32];
    guarded region = guarded_open(LONGEST + ALIGNMENTS);
    int known = 0;
    trying("CRC32C");
    for (size_t i = 0; i < sizeof KINDS / sizeof *KINDS; i++)
        known += strcmp(fpp_crc32c_kind(), KINDS[i]) == 0;
    check(known == 1, "kind %s", fpp_crc32c_kind());
    check(fpp_crc32c(0, DIGITS, 9) == 0xE3069283u, "known answer");
    check(fpp_crc32c_by_table(0, DIGITS, 9) == 0xE3069283u, "known answer by table");
    check(fpp_crc32c(0, NULL, 0) == 0 && fpp_crc32c(7, NULL, 0) == 7, "nothing");
    memset(bytes, 0, sizeof bytes);
    check(fpp_crc32c(0, bytes, sizeof bytes) == 0x8A9136AAu, "32 zeros");
    memset(bytes, 0xFF, sizeof bytes);
    check(fpp_crc32c(0, bytes, sizeof bytes) == 0x62A8AB43u, "32 ones");
    for (uint8_t i = 0; i < sizeof bytes; i++)
        bytes[i] = i;
    check(fpp_crc32c(0, bytes, sizeof bytes) == 0x46DD794Eu, "32 rising");
    for (uint32_t alignment = 0; alignment < ALIGNMENTS; alignment++)
        for (size_t length = 0; length <= LONGEST; length++)
            check_length(region, alignment, length);
    guarded_close(region);
}
