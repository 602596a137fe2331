/* IPv4 and IPv6 addresses as text: canonical dotted quads, RFC 4291 in, RFC 5952 out. */
#include "core.h"

enum { GROUPS = FPP_IPV6_SIZE / 2, NO_GAP = FPP_IPV6_SIZE + 1 };

/* Each hexadecimal digit's value, marked as one. */
enum { HEX_MARK = 0x10 };
static const uint8_t HEX[256] = {
    ['0'] = 0x10, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x18, 0x19,
    ['A'] = 0x1A, 0x1B, 0x1C, 0x1D, 0x1E, 0x1F,
    ['a'] = 0x1A, 0x1B, 0x1C, 0x1D, 0x1E, 0x1F,
};

/* The marks, in the lowest eight bits, of the bytes that are no digits. After the exclusive or a
 * digit is 0..9, and adding 0x76 sets the high bit of anything larger; the product gathers the
 * high bits. */
static uint32_t non_digits(uint64_t text)
{
    uint64_t values = text ^ 0x3030303030303030u;
    uint64_t marks = (values | ((values & 0x7F7F7F7F7F7F7F7Fu) + 0x7676767676767676u)) >> 7 &
                     0x0101010101010101u;
    return (uint32_t)(marks * 0x0102040810204080u >> 56);
}

static uint32_t lowest_bit(uint32_t mask)
{
#if defined(__GNUC__)
    return (uint32_t)__builtin_ctz(mask);
#else
    uint32_t at = 0;
    while ((mask >> at & 1) == 0)
        at++;
    return at;
#endif
}

/* One to three digits without a heading zero, in the lowest bytes of text: 1 and the octet. */
static int read_octet(uint32_t text, uint32_t digits, uint8_t *octet)
{
    if (digits - 1 > 2)
        return 0;
    uint32_t values = (text ^ 0x30303030u) << (32 - 8 * digits); /* the last digit on top */
    uint32_t value = (values >> 24) + 10 * (values >> 16 & 0xFF) + 100 * (values >> 8 & 0xFF);
    *octet = (uint8_t)value;
    return value <= UINT8_MAX && (digits == 1 || (text & 0xFF) != '0');
}

/* The ends of all four numbers are found at once, and then each is read by itself: the lengths of
 * numbers cannot be predicted, and reading one after the other would wait for each in turn. */
uint32_t fpp_ipv4_text(fpp_view text, uint32_t at, uint8_t address[FPP_IPV4_SIZE])
{
    enum { BEYOND = 0xF << 16 }; /* ends of numbers that are not there: too far for three digits */
    uint32_t ends =
        non_digits(fpp_text8(text, at)) | non_digits(fpp_text8(text, at + 8)) << 8 | BEYOND;
    uint32_t start = 0;
    for (uint32_t i = 0; i < FPP_IPV4_SIZE; i++) {
        uint32_t end = lowest_bit(ends);
        ends &= ends - 1;
        if (!read_octet(fpp_text4(text, at + start), end - start, &address[i]))
            return 0;
        if (i + 1 < FPP_IPV4_SIZE && fpp_text(text, at + end) != '.')
            return 0;
        start = end + 1;
    }
    return start - 1;
}

/* Up to four hexadecimal digits: how many. Most groups have all four. */
static uint32_t read_group(fpp_view text, uint32_t at, uint32_t *value)
{
    uint32_t bytes = fpp_text4(text, at);
    uint8_t digit[4] = {HEX[bytes & 0xFF], HEX[bytes >> 8 & 0xFF], HEX[bytes >> 16 & 0xFF],
                        HEX[bytes >> 24]};
    uint32_t count = 0;
    *value = 0;
    if (digit[0] & digit[1] & digit[2] & digit[3] & HEX_MARK) {
        *value = (digit[0] & 0xFu) << 12 | (digit[1] & 0xFu) << 8 | (digit[2] & 0xFu) << 4 |
                 (digit[3] & 0xFu);
        return 4;
    }
    for (; digit[count] & HEX_MARK; count++) /* one of the four is none */
        *value = *value << 4 | (digit[count] & 0xFu);
    return count;
}

/* Moves what stands behind "::" to the end; the gap must be of one group or more. */
static int close_gap(uint8_t address[FPP_IPV6_SIZE], uint32_t filled, uint32_t gap)
{
    if (gap == NO_GAP)
        return filled == FPP_IPV6_SIZE;
    if (filled > FPP_IPV6_SIZE - 2)
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
    int group_must_follow = 1;
    if (fpp_equal(text, end, "::", 2)) {
        gap = 0;
        end += 2;
        group_must_follow = 0;
    }
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
    return size > 0 && size == length;
}

static size_t format_octet(char *out, uint8_t octet)
{
    size_t size = 0;
    if (octet >= 100)
        out[size++] = (char)('0' + octet / 100);
    if (octet >= 10)
        out[size++] = (char)('0' + octet / 10 % 10);
    out[size++] = (char)('0' + octet % 10);
    return size;
}

static size_t format_ipv4(char *out, const uint8_t *address)
{
    size_t size = 0;
    for (uint32_t i = 0; i < FPP_IPV4_SIZE; i++) {
        if (i > 0)
            out[size++] = '.';
        size += format_octet(out + size, address[i]);
    }
    return size;
}

static size_t format_group(char *out, uint32_t group)
{
    static const char DIGITS[] = "0123456789abcdef";
    size_t size = 0;
    if (group >= 0x1000)
        out[size++] = DIGITS[group >> 12];
    if (group >= 0x100)
        out[size++] = DIGITS[group >> 8 & 0xF];
    if (group >= 0x10)
        out[size++] = DIGITS[group >> 4 & 0xF];
    out[size++] = DIGITS[group & 0xF];
    return size;
}

/* RFC 5952 4.2: "::" stands for the longest run of two or more zero groups, the first of equals;
 * the length of that run, and its start. */
static uint32_t longest_run(const uint16_t groups[GROUPS], uint32_t *start)
{
    uint32_t best = 1;
    for (uint32_t i = 0, run = 0; i < GROUPS; i++) {
        run = groups[i] == 0 ? run + 1 : 0;
        if (run > best) {
            best = run;
            *start = i + 1 - run;
        }
    }
    return best > 1 ? best : 0;
}

static size_t format_ipv6(char *out, const uint8_t *address)
{
    static const uint8_t MAPPED[] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF};
    uint16_t groups[GROUPS];
    uint32_t start = GROUPS;
    size_t size = 0;
    if (memcmp(address, MAPPED, sizeof MAPPED) == 0) { /* RFC 5952 5: dotted where it is known */
        memcpy(out, "::ffff:", 7);
        return 7 + format_ipv4(out + 7, address + sizeof MAPPED);
    }
    for (uint32_t i = 0; i < GROUPS; i++)
        groups[i] = (uint16_t)(address[2 * i] << 8 | address[2 * i + 1]);
    uint32_t run = longest_run(groups, &start);
    for (uint32_t i = 0; i < GROUPS;) {
        if (i == start) {
            out[size++] = ':';
            out[size++] = ':';
            i += run;
            continue;
        }
        if (i > 0 && i != start + run)
            out[size++] = ':';
        size += format_group(out + size, groups[i++]);
    }
    return size;
}

size_t fpp_format_address(char out[FPP_ADDRESS_TEXT_SIZE], int family, const uint8_t *address)
{
    size_t size = family == FPP_FAMILY_INET ? format_ipv4(out, address) : format_ipv6(out, address);
    out[size] = '\0';
    return size;
}
