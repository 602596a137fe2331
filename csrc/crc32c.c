/* CRC32C (RFC 4960 appendix B): with the processor's instruction where it has one, which is asked
 * at run time, else by table. Both give the same numbers; the tests hold them against each other. */
#include <string.h>

#include "core.h"

#if defined(__x86_64__) && defined(__GNUC__)
#define FPP_CRC32C_KIND "sse4.2"
#define FPP_TARGET __attribute__((target("sse4.2")))
#include <nmmintrin.h>
static inline int has_instruction(void)
{
    return __builtin_cpu_supports("sse4.2");
}
#define CRC_8 _mm_crc32_u8
#define CRC_32 _mm_crc32_u32
#define CRC_64(crc, word) ((uint32_t)_mm_crc32_u64((crc), (word)))

#elif defined(__aarch64__) && defined(__linux__) && defined(__GNUC__)
#define FPP_CRC32C_KIND "armv8"
#include <sys/auxv.h>
#if defined(__clang__)
#define FPP_TARGET __attribute__((target("crc")))
#else
#define FPP_TARGET __attribute__((target("+crc")))
#endif
enum { HWCAP_BIT_CRC32 = 1 << 7 };
static inline int has_instruction(void)
{
    return (getauxval(AT_HWCAP) & HWCAP_BIT_CRC32) != 0;
}
#define CRC_8 __builtin_aarch64_crc32cb
#define CRC_32 __builtin_aarch64_crc32cw
#define CRC_64 __builtin_aarch64_crc32cx

#elif defined(__aarch64__) && defined(__ARM_FEATURE_CRC32) && defined(__GNUC__)
/* Apple's processors: the compiler already knows that the instruction is there. */
#define FPP_CRC32C_KIND "armv8"
#define FPP_TARGET
#include <arm_acle.h>
static inline int has_instruction(void)
{
    return 1;
}
#define CRC_8 __crc32cb
#define CRC_32 __crc32cw
#define CRC_64 __crc32cd
#endif

uint32_t fpp_crc32c_by_table(uint32_t crc, const uint8_t *data, size_t length)
{
    static const uint32_t TABLE[] = FPP_CRC32C_TABLE;
    crc = ~crc;
    /*@ loop invariant i <= length;
        loop assigns i, crc;
        loop variant length - i; */
    for (size_t i = 0; i < length; i++)
        crc = crc >> 8 ^ TABLE[(crc ^ data[i]) & 0xFF];
    return ~crc;
}

#ifdef FPP_CRC32C_KIND

FPP_TARGET static uint32_t by_instruction(uint32_t crc, const uint8_t *data, size_t length)
{
    size_t at = 0;
    crc = ~crc;
    /* Words in the machine's order, which here is the little-endian one that CRC32C is in. */
    for (; length - at >= sizeof(uint64_t); at += sizeof(uint64_t)) {
        uint64_t word;
        memcpy(&word, data + at, sizeof word);
        crc = CRC_64(crc, word);
    }
    if (length - at >= sizeof(uint32_t)) {
        uint32_t word;
        memcpy(&word, data + at, sizeof word);
        crc = CRC_32(crc, word);
        at += sizeof word;
    }
    for (; at < length; at++)
        crc = CRC_8(crc, data[at]);
    return ~crc;
}

uint32_t fpp_crc32c(uint32_t crc, const uint8_t *data, size_t length)
{
    return has_instruction() ? by_instruction(crc, data, length)
                             : fpp_crc32c_by_table(crc, data, length);
}

const char *fpp_crc32c_kind(void)
{
    return has_instruction() ? FPP_CRC32C_KIND : "table";
}

#else

uint32_t fpp_crc32c(uint32_t crc, const uint8_t *data, size_t length)
{
    return fpp_crc32c_by_table(crc, data, length);
}

const char *fpp_crc32c_kind(void)
{
    return "table";
}

#endif
