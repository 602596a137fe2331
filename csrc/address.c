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

/* The longest dotted quad has 15 bytes. Four are loaded up to where each number ends; and where a
 * text has not four of them in its first 15 bytes, the missing ones end behind it. */
enum { QUAD_BEFORE = 4, QUAD_SIZE = 16, QUAD_WINDOW = QUAD_BEFORE + QUAD_SIZE + 4 };
enum { ENDS_BEHIND = 0xF << (QUAD_SIZE - 1) };

/* By the number of digits: where they stand in the four bytes that end with them, and the least
 * value without a heading zero. No digit, or more than three, would have to be worth TOO_MUCH,
 * which no value less than 1000 reaches: the difference sets the highest of its 16 bits. */
enum { TOO_MUCH = 0x8000 };
static const struct {
    uint32_t digits, least;
} NUMBER[32] = {
    {0, TOO_MUCH}, {0xFF000000u, 0}, {0xFFFF0000u, 10}, {0xFFFFFF00u, 100},
    {0, TOO_MUCH}, {0, TOO_MUCH},    {0, TOO_MUCH},     {0, TOO_MUCH},
    {0, TOO_MUCH}, {0, TOO_MUCH},    {0, TOO_MUCH},     {0, TOO_MUCH},
    {0, TOO_MUCH}, {0, TOO_MUCH},    {0, TOO_MUCH},     {0, TOO_MUCH},
    {0, TOO_MUCH}, {0, TOO_MUCH},    {0, TOO_MUCH},
};

/* Two numbers side by side: the bytes 0, hundreds, tens, units of each become its value in the
 * upper 16 of its 32 bits. Below it stands something harmless. */
static uint64_t weigh(uint64_t digits)
{
    uint64_t tens = digits & 0x00FF00FF00FF00FFu;
    uint64_t others = digits >> 8 & 0x00FF00FF00FF00FFu;
    return tens * 10 + others * (1 + (100u << 16));
}

/* Reading a quad: the text from window + QUAD_BEFORE on, the ends of its numbers as marks, where
 * the next number starts, and all that was wrong so far. */
typedef struct {
    const uint8_t *window;
    uint32_t ends;
    uint32_t misplaced;
    size_t start;
    uint64_t wrong;
} quad;

static inline size_t next_end(quad *q)
{
    size_t end = fpp_first_mark(q->ends);
    q->ends &= q->ends - 1;
    return end;
}

static inline uint64_t digits_of(const quad *q, size_t length, size_t end)
{
    return (fpp_load4(q->window + end) ^ 0x30303030u) & NUMBER[length].digits;
}

/* Two numbers with a dot between them, in bits 16 and 48 of what is returned. */
static inline uint64_t read_pair(quad *q)
{
    size_t dot = next_end(q);
    size_t end = next_end(q);
    size_t low = dot - q->start;
    size_t high = end - dot - 1;
    uint64_t values = weigh(digits_of(q, low, dot) | digits_of(q, high, end) << 32);
    uint64_t least = (uint64_t)NUMBER[low].least << 16 | (uint64_t)NUMBER[high].least << 48;
    q->misplaced |= q->window[QUAD_BEFORE + dot] ^ (uint32_t)'.';
    q->wrong |= values | (values - least);
    q->start = end + 1;
    return values;
}

/* The ends of all four numbers are found at once, and then they are read two by two, with what is
 * wrong gathered on the way: the lengths of numbers cannot be predicted, so reading one after the
 * other would wait for each in turn, and branches would be guessed wrong. */
static inline uint32_t read_quad(const uint8_t window[QUAD_WINDOW], uint8_t address[FPP_IPV4_SIZE])
{
    quad q = {window, fpp_non_digits16(window + QUAD_BEFORE) | ENDS_BEHIND, 0, 0, 0};
    uint64_t first = read_pair(&q);
    q.misplaced |= window[QUAD_BEFORE + q.start - 1] ^ (uint32_t)'.';
    uint64_t second = read_pair(&q);
    if ((q.wrong & 0xFF000000FF000000u) != 0 || q.misplaced != 0)
        return 0;
    address[0] = (uint8_t)(first >> 16);
    address[1] = (uint8_t)(first >> 48);
    address[2] = (uint8_t)(second >> 16);
    address[3] = (uint8_t)(second >> 48);
    return (uint32_t)q.start - 1;
}

uint32_t fpp_ipv4_text(fpp_view text, uint32_t at, uint8_t address[FPP_IPV4_SIZE])
{
    uint8_t copy[QUAD_WINDOW];
    const uint8_t *window = copy;
    if (at >= QUAD_BEFORE && fpp_has(text, at - QUAD_BEFORE, QUAD_WINDOW)) {
        window = fpp_at(text, at - QUAD_BEFORE, QUAD_WINDOW);
    } else { /* near an end of the text */
        uint32_t left = at < text.length ? text.length - at : 0;
        memset(copy, 0, sizeof copy);
        fpp_copy(copy + QUAD_BEFORE, text, at, left < QUAD_SIZE ? left : QUAD_SIZE);
    }
    return read_quad(window, address);
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
    for (uint32_t i = 0; i < 4; i++)
        out[i] = (char)(text >> (8 * i) & 0xFF);
    return digits;
}

static size_t format_ipv4(char out[FPP_IPV4_SIZE * 4], const uint8_t *address)
{
    size_t size = 0;
    for (uint32_t i = 0; i < FPP_IPV4_SIZE; i++)
        size += format_octet(out + size, address[i]) + 1;
    return size - 1; /* the last dot is not part of it */
}

/* Four hexadecimal digits, the heading zeros shifted out; how many are left. Each nibble is spread to a byte; those above 9 are moved on from '9' to 'a'. */
static size_t format_group(char out[4], uint32_t group)
{
    uint32_t nibbles = group >> 12 | (group & 0xF00) | (group & 0xF0) << 12 | (group & 0xF) << 24;
    uint32_t letters = (nibbles + 0x06060606u) >> 4 & 0x01010101u;
    uint32_t digits = 1u + (group > 0xF) + (group > 0xFF) + (group > 0xFFF);
    uint32_t text = nibbles + 0x30303030u + letters * ('a' - '9' - 1);
    text >>= 8 * (4 - digits);
    for (uint32_t i = 0; i < 4; i++)
        out[i] = (char)(text >> (8 * i) & 0xFF);
    return digits;
}

/* RFC 5952 4.2: "::" stands for the longest run of zero groups, the first of equals; the length of
 * that run, and its start. */
static uint32_t longest_run(const uint16_t groups[GROUPS], uint32_t *start)
{
    uint32_t best = 0;
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
static size_t format_groups(char *out, const uint16_t *groups, uint32_t count)
{
    size_t size = 0;
    for (uint32_t i = 0; i < count; i++) {
        size += format_group(out + size, groups[i]);
        out[size++] = ':';
    }
    return size;
}

static size_t format_ipv6(char *out, const uint8_t *address)
{
    static const uint8_t MAPPED[] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF};
    uint16_t groups[GROUPS];
    uint32_t zeros = 0;
    if (memcmp(address, MAPPED, sizeof MAPPED) == 0) { /* RFC 5952 5: dotted where it is known */
        memcpy(out, "::ffff:", 7);
        return 7 + format_ipv4(out + 7, address + sizeof MAPPED);
    }
    for (uint32_t i = 0; i < GROUPS; i++) {
        groups[i] = (uint16_t)(address[2 * i] << 8 | address[2 * i + 1]);
        zeros |= (uint32_t)(groups[i] == 0) << i;
    }
    if ((zeros & zeros >> 1) == 0) /* "must not be used to shorten just one 16-bit 0 field" */
        return format_groups(out, groups, GROUPS) - 1;
    uint32_t start = 0;
    uint32_t run = longest_run(groups, &start);
    uint32_t behind = start + run;
    size_t size = start > 0 ? format_groups(out, groups, start) - 1 : 0;
    out[size++] = ':';
    out[size++] = ':';
    return behind < GROUPS ? size + format_groups(out + size, groups + behind, GROUPS - behind) - 1
                           : size;
}

size_t fpp_format_address(char out[FPP_ADDRESS_TEXT_SIZE], int family, const uint8_t *address)
{
    size_t size = family == FPP_FAMILY_INET ? format_ipv4(out, address) : format_ipv6(out, address);
    out[size] = '\0';
    return size;
}
