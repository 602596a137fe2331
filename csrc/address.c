/* IPv4 and IPv6 addresses as text: canonical dotted quads, RFC 4291 in, RFC 5952 out. */
#include "core.h"
#include "quad.h"

enum { GROUPS = FPP_IPV6_SIZE / 2 };
#define NO_GAP UINT32_MAX

/* Each hexadecimal digit's value, with a bit that marks it as one. */
static const uint8_t HEX[] = {
    ['0'] = 0x10, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x18, 0x19,
    ['A'] = 0x1A, 0x1B, 0x1C, 0x1D, 0x1E, 0x1F,
    ['a'] = 0x1A, 0x1B, 0x1C, 0x1D, 0x1E, 0x1F,
    [UINT8_MAX] = 0,
};

/* Up to four hexadecimal digits: how many. Most groups have all four. */
static uint32_t read_group(fpp_view text, uint32_t at, uint32_t *value)
{
    uint32_t bytes = fpp_text4(text, at);
    uint32_t first = HEX[bytes & 0xFF];
    uint32_t second = HEX[bytes >> 8 & 0xFF];
    uint32_t third = HEX[bytes >> 16 & 0xFF];
    uint32_t fourth = HEX[bytes >> 24];
    if (first & second & third & fourth) {
        *value = (first & 0xF) << 12 | (second & 0xF) << 8 | (third & 0xF) << 4 | (fourth & 0xF);
        return 4;
    }
    *value = first & 0xF;
    if (first == 0)
        return 0;
    if (second == 0)
        return 1;
    *value = *value << 4 | (second & 0xF);
    if (third == 0)
        return 2;
    *value = *value << 4 | (third & 0xF);
    return 3;
}

/* Moves what stands behind "::" to the end; the gap must be of one group or more. */
static int close_gap(uint8_t address[FPP_IPV6_SIZE], uint32_t filled, uint32_t gap)
{
    if (gap == NO_GAP)
        return filled == FPP_IPV6_SIZE;
    if (filled == FPP_IPV6_SIZE)
        return 0;
    uint32_t tail = filled - gap;
    memmove(address + FPP_IPV6_SIZE - tail, address + gap, tail);
    memset(address + gap, 0, FPP_IPV6_SIZE - filled);
    return 1;
}

uint32_t fpp_ipv6_text(fpp_view text, uint32_t at, uint8_t address[FPP_IPV6_SIZE])
{
    uint32_t end = at;
    uint32_t filled = 0;
    uint32_t gap = NO_GAP;
    int group_must_follow = 0;
    if (fpp_equal(text, end, "::", 2)) {
        gap = 0;
        end += 2;
    }
    /*@ loop invariant filled <= FPP_IPV6_SIZE && filled % 2 == 0;
        loop invariant (gap == NO_GAP || gap <= filled);
        loop assigns filled, gap, end, group_must_follow, address[0 .. FPP_IPV6_SIZE - 1];
        loop variant FPP_IPV6_SIZE - filled; */
    while (filled < FPP_IPV6_SIZE) {
        uint32_t value;
        uint32_t digits = read_group(text, end, &value);
        if (digits == 0)
            break;
        group_must_follow = 0;
        if (fpp_text(text, end + digits) == '.') { /* the last 32 bits as a dotted quad */
            if (filled > FPP_IPV6_SIZE - FPP_IPV4_SIZE)
                return 0;
            digits = fpp_ipv4_text(text, end, address + filled);
            if (digits == 0)
                return 0;
            filled += FPP_IPV4_SIZE;
            end += digits;
            break;
        }
        address[filled++] = (uint8_t)(value >> 8);
        address[filled++] = (uint8_t)value;
        end += digits;
        if (fpp_text(text, end) != ':')
            break;
        end++;
        group_must_follow = 1;
        if (fpp_text(text, end) == ':') {
            if (gap != NO_GAP)
                return 0;
            gap = filled;
            end++;
            group_must_follow = 0;
        }
    }
    return !group_must_follow && close_gap(address, filled, gap) ? end - at : 0;
}

int fpp_read_address(uint8_t address[FPP_IPV6_SIZE], int family, const char *text, size_t length)
{
    fpp_view view = fpp_view_of((const uint8_t *)text, length);
    uint32_t size = family == FPP_FAMILY_INET ? fpp_ipv4_text(view, 0, address)
                                              : fpp_ipv6_text(view, 0, address);
    return size != 0 && size == length;
}

/* Three digits and a dot are always computed, and the heading zeros shifted out: how many there
 * are cannot be predicted. The quotients are exact below 256. Returns the number of digits. */
static size_t format_octet(char out[4], uint32_t octet)
{
    uint32_t hundreds = octet * 41 >> 12;
    uint32_t tens = octet * 205 >> 11;
    uint32_t text = hundreds + ((tens - 10 * hundreds) << 8) + ((octet - 10 * tens) << 16) +
                    ('0' | '0' << 8 | '0' << 16 | (uint32_t)'.' << 24);
    uint32_t digits = 1u + (octet > 9) + (octet > 99);
    text >>= 8 * (3 - digits);
    /*@ loop invariant i <= 4;
        loop assigns i, out[0 .. 3];
        loop variant 4 - i; */
    for (uint32_t i = 0; i < 4; i++)
        out[i] = (char)(text >> (8 * i) & 0xFF);
    return digits;
}

static size_t format_ipv4(char out[FPP_IPV4_SIZE * 4], const uint8_t *address)
{
    size_t size = 0;
    /*@ loop invariant i <= FPP_IPV4_SIZE && 2 * i <= size <= 4 * i;
        loop assigns i, size, out[0 .. FPP_IPV4_SIZE * 4 - 1];
        loop variant FPP_IPV4_SIZE - i; */
    for (uint32_t i = 0; i < FPP_IPV4_SIZE; i++)
        size += format_octet(out + size, address[i]) + 1;
    return size - 1; /* the last dot is not part of it */
}

/* Two groups as eight hexadecimal digits, the first of them in the lowest byte: each nibble is
 * spread to a byte, and those above 9 are moved on from '9' to 'a'. */
static uint64_t hex_digits(const uint8_t bytes[4])
{
    uint64_t value = fpp_load4(bytes);
    value = (value | value << 16) & 0x0000FFFF0000FFFFu;
    value = (value | value << 8) & 0x00FF00FF00FF00FFu;
    value = (value >> 4 | value << 8) & 0x0F0F0F0F0F0F0F0Fu;
    uint64_t letters = (value + 0x0606060606060606u) >> 4 & 0x0101010101010101u;
    return value + 0x3030303030303030u + letters * ('a' - '9' - 1);
}

/* One group, the heading zeros shifted out: how many digits are left. */
static size_t format_group(char out[4], uint32_t text, uint32_t group)
{
    uint32_t digits = 1u + (group > 0xF) + (group > 0xFF) + (group > 0xFFF);
    text >>= 8 * (4 - digits);
    /*@ loop invariant i <= 4;
        loop assigns i, out[0 .. 3];
        loop variant 4 - i; */
    for (uint32_t i = 0; i < 4; i++)
        out[i] = (char)(text >> (8 * i) & 0xFF);
    return digits;
}

/* RFC 5952 4.2: "::" stands for the longest run of zero groups, the first of equals; the length of
 * that run, and its start. */
static uint32_t longest_run(const uint16_t groups[GROUPS], uint32_t *start)
{
    uint32_t best = 0;
    /*@ loop invariant i <= GROUPS && run <= i && *start + best <= i;
        loop assigns i, run, best, *start;
        loop variant GROUPS - i; */
    for (uint32_t i = 0, run = 0; i < GROUPS; i++) {
        run = groups[i] == 0 ? run + 1 : 0;
        if (run > best) {
            best = run;
            *start = i + 1 - run;
        }
    }
    return best;
}

/* Returns the size with one colon too many behind the last group. */
static size_t format_groups(char *out, const uint32_t *texts, const uint16_t *groups,
                            uint32_t count)
{
    size_t size = 0;
    /*@ loop invariant i <= count && 2 * i <= size <= 5 * i;
        loop assigns i, size, out[0 .. 5 * count - 1];
        loop variant count - i; */
    for (uint32_t i = 0; i < count; i++) {
        size += format_group(out + size, texts[i], groups[i]);
        out[size++] = ':';
    }
    return size;
}

static size_t format_ipv6(char *out, const uint8_t *address)
{
    static const uint8_t MAPPED[] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF};
    static const char PREFIX[] = "::ffff:";
    size_t size = sizeof PREFIX - 1;
    uint16_t groups[GROUPS];
    uint32_t texts[GROUPS];
    uint32_t zeros = 0;
    if (memcmp(address, MAPPED, sizeof MAPPED) == 0) { /* RFC 5952 5: dotted where it is known */
        memcpy(out, PREFIX, size);
        return size + format_ipv4(out + size, address + sizeof MAPPED);
    }
    /*@ loop invariant i <= GROUPS;
        loop assigns i, zeros, groups[0 .. GROUPS - 1];
        loop variant GROUPS - i; */
    for (uint32_t i = 0; i < GROUPS; i++) {
        groups[i] = (uint16_t)(address[2 * i] << 8 | address[2 * i + 1]);
        zeros |= (uint32_t)(groups[i] == 0) << i;
    }
    /*@ loop invariant i <= GROUPS && i % 2 == 0;
        loop assigns i, texts[0 .. GROUPS - 1];
        loop variant GROUPS - i; */
    for (uint32_t i = 0; i < GROUPS; i += 2) {
        uint64_t pair = hex_digits(address + 2 * i);
        texts[i] = (uint32_t)pair;
        texts[i + 1] = (uint32_t)(pair >> 32);
    }
    if ((zeros & zeros >> 1) == 0) /* "must not be used to shorten just one 16-bit 0 field" */
        return format_groups(out, texts, groups, GROUPS) - 1;
    uint32_t start = 0;
    uint32_t run = longest_run(groups, &start);
    uint32_t behind = start + run;
    size = start > 0 ? format_groups(out, texts, groups, start) - 1 : 0;
    out[size++] = ':';
    out[size++] = ':';
    if (behind == GROUPS)
        return size;
    return size + format_groups(out + size, texts + behind, groups + behind, GROUPS - behind) - 1;
}

size_t fpp_format_address(char out[FPP_ADDRESS_TEXT_SIZE], int family, const uint8_t *address)
{
    size_t size = family == FPP_FAMILY_INET ? format_ipv4(out, address) : format_ipv6(out, address);
    out[size] = '\0';
    return size;
}
