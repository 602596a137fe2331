/* IPv4 and IPv6 addresses as text: canonical dotted quads, RFC 4291 in, RFC 5952 out. */
#include "core.h"

enum { GROUPS = FPP_IPV6_SIZE / 2, NO_GAP = FPP_IPV6_SIZE + 1, NOT_HEX = 16 };

/* One number of a dotted quad out of the four bytes of text at hand: its digits, or 0. All bytes
 * are judged at once: after the exclusive or a digit is 0..9, and adding 0x76 sets the high bit of
 * anything larger. (A carry out of a byte can only reach bytes behind the first non-digit.) */
static uint32_t read_octet(uint32_t text, uint8_t *octet)
{
    uint32_t values = text ^ 0x30303030u;
    uint32_t others = (values | (values + 0x76767676u)) & 0x80808080u;
    uint32_t digits = others & 0x80u ? 0 : others & 0x8000u ? 1 : others & 0x800000u ? 2 : 3;
    if (digits == 0 || others == 0)
        return 0;
    uint32_t shifted = values << (32 - 8 * digits); /* the last digit on top */
    uint32_t value = (shifted >> 24) + 10 * (shifted >> 16 & 0xFF) + 100 * (shifted >> 8 & 0xFF);
    if (value > UINT8_MAX || (digits > 1 && (values & 0xFF) == 0)) /* no heading zeroes */
        return 0;
    *octet = (uint8_t)value;
    return digits;
}

uint32_t fpp_ipv4_text(fpp_view text, uint32_t at, uint8_t address[FPP_IPV4_SIZE])
{
    uint32_t end = at;
    for (uint32_t i = 0; i < FPP_IPV4_SIZE; i++) {
        if (i > 0 && fpp_text(text, end++) != '.')
            return 0;
        uint32_t digits = read_octet(fpp_text4(text, end), &address[i]);
        if (digits == 0)
            return 0;
        end += digits;
    }
    return end - at;
}

static uint32_t hex_digit(uint8_t byte)
{
    uint32_t digit = (uint32_t)byte - '0';
    uint32_t letter = ((uint32_t)byte | 0x20) - 'a';
    return digit <= 9 ? digit : letter <= 5 ? letter + 10 : NOT_HEX;
}

/* Up to four hexadecimal digits: how many. */
static uint32_t read_group(fpp_view text, uint32_t at, uint32_t *value)
{
    uint32_t digits = 0;
    *value = 0;
    while (digits < 4) {
        uint32_t digit = hex_digit(fpp_text(text, at + digits));
        if (digit == NOT_HEX)
            break;
        *value = *value << 4 | digit;
        digits++;
    }
    return digits;
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
    static const char HEX[] = "0123456789abcdef";
    size_t size = 0;
    if (group >= 0x1000)
        out[size++] = HEX[group >> 12];
    if (group >= 0x100)
        out[size++] = HEX[group >> 8 & 0xF];
    if (group >= 0x10)
        out[size++] = HEX[group >> 4 & 0xF];
    out[size++] = HEX[group & 0xF];
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
