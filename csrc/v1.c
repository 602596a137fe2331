/* The text line (2.1). */
#include "core.h"
#include "quad.h"

enum {
    SPACE_OFFSET = FPP_SIGNATURE_V1_SIZE,
    PROTOCOL_OFFSET,
    KEYWORD_SIZE = 5, /* "TCP4 " or "TCP6 " */
    SOURCE_OFFSET = PROTOCOL_OFFSET + KEYWORD_SIZE,
    WINDOW_SIZE = 32 /* bytes that are searched at once */
};

/* UNSPEC where the keyword names no protocol that carries addresses. */
static inline uint8_t read_family(fpp_view line)
{
    if (fpp_equal(line, PROTOCOL_OFFSET, "TCP4 ", KEYWORD_SIZE))
        return FPP_FAMILY_INET;
    if (fpp_equal(line, PROTOCOL_OFFSET, "TCP6 ", KEYWORD_SIZE))
        return FPP_FAMILY_INET6;
    return FPP_FAMILY_UNSPEC;
}

/* A port in canonical decimal: the number of digits, or 0. "Heading zeroes are not permitted". */
static inline uint32_t read_port(fpp_view line, uint32_t at, uint16_t *port)
{
    uint32_t value = 0;
    uint32_t digits = 0;
    /*@ loop invariant digits <= 5;
        loop assigns digits, value;
        loop variant 5 - digits; */
    while (digits < 5) {
        uint32_t digit = (uint32_t)fpp_text(line, at + digits) - '0';
        if (digit > 9)
            break;
        value = value * 10 + digit;
        digits++;
    }
    if (value > UINT16_MAX || (digits > 1 && fpp_text(line, at) == '0'))
        return 0;
    *port = (uint16_t)value;
    return digits;
}

/* One field and the space behind it: the offset of the next field, or 0. */
static inline uint32_t read_address(fpp_view line, uint32_t at, uint8_t family, uint8_t *address)
{
    uint32_t size = family == FPP_FAMILY_INET ? fpp_ipv4_text(line, at, address)
                                              : fpp_ipv6_text(line, at, address);
    return size != 0 && fpp_text(line, at + size) == ' ' ? at + size + 1 : 0;
}

/* The fields from left to right, the keyword as out->family. A field that is cut off by the end of
 * the input counts as wrong here: whether the line is merely unfinished is for judge_line to say. */
static int read_fields(fpp_view line, fpp_header *out, fpp_error *why)
{
    if (out->family == FPP_FAMILY_UNSPEC)
        return fpp_fault(why, FPP_STATUS_V1_PROTOCOL, PROTOCOL_OFFSET);
    out->transport = FPP_TRANSPORT_STREAM;

    uint32_t source = SOURCE_OFFSET;
    uint32_t destination = read_address(line, source, out->family, out->source);
    if (destination == 0)
        return fpp_fault(why, FPP_STATUS_V1_SOURCE, source);
    uint32_t at = read_address(line, destination, out->family, out->destination);
    if (at == 0)
        return fpp_fault(why, FPP_STATUS_V1_DESTINATION, destination);
    uint32_t digits = read_port(line, at, &out->source_port);
    if (digits == 0 || fpp_text(line, at + digits) != ' ')
        return fpp_fault(why, FPP_STATUS_V1_SOURCE_PORT, at);
    at += digits + 1;
    digits = read_port(line, at, &out->destination_port);
    if (digits == 0)
        return fpp_fault(why, FPP_STATUS_V1_DESTINATION_PORT, at);
    at += digits;
    if (!fpp_equal(line, at, "\r\n", 2))
        return fpp_fault(why, FPP_STATUS_V1_END, at);
    out->size = at + 2;
    return FPP_STATUS_OK;
}

/* "For UNKNOWN, the receiver must ignore anything presented before the CRLF is found": after the
 * keyword must come a space or that CRLF. */
static int is_unknown(fpp_view line)
{
    return fpp_equal(line, PROTOCOL_OFFSET, "UNKNOWN ", 8) ||
           fpp_equal(line, PROTOCOL_OFFSET, "UNKNOWN\r\n", 9);
}

/* A mark for each LF among the bytes from offset at. */
static inline uint32_t line_feeds(fpp_view line, uint32_t at)
{
    const uint8_t *text = fpp_at(line, at, WINDOW_SIZE);
    return fpp_equal16(text, '\n') | fpp_equal16(text + 16, '\n') << 16;
}

/* Where LF stands first behind the keyword's start, or the length. That is another place in each line:
 * memchr goes by aligned pieces, and so branches in a way that cannot be predicted. The last window
 * ends where the line does, and looks again at what another has seen. */
static inline uint32_t find_line_feed(fpp_view line)
{
    uint32_t at = PROTOCOL_OFFSET;
    if (!fpp_has(line, at, WINDOW_SIZE))
        return fpp_find(line, at, line.length, '\n');
    uint32_t last = line.length - WINDOW_SIZE;
    uint32_t marks = line_feeds(line, at);
    /*@ loop invariant PROTOCOL_OFFSET <= at <= last;
        loop assigns at, marks;
        loop variant last - at; */
    while (marks == 0 && at < last) {
        at = at + WINDOW_SIZE < last ? at + WINDOW_SIZE : last;
        marks = line_feeds(line, at);
    }
    return marks == 0 ? line.length : at + fpp_first_mark(marks);
}

/* No line ends in the bytes that are there. */
FPP_RARE static int unfinished(fpp_view line, fpp_error *why)
{
    if (line.length == FPP_V1_MAX_SIZE)
        return fpp_fault(why, FPP_STATUS_V1_TOO_LONG, FPP_V1_MAX_SIZE - 1);
    uint32_t needed = line.length + (fpp_u8(line, line.length - 1) == '\r' ? 1 : 2);
    if (needed > FPP_V1_MAX_SIZE)
        needed = FPP_V1_MAX_SIZE;
    return fpp_incomplete(why, needed > FPP_V1_MIN_SIZE ? needed : FPP_V1_MIN_SIZE);
}

/* OK where a whole line is there. "The receiver must not tolerate a single CR or LF character to end
 * the line", so one of them settles the matter at once. */
FPP_RARE static int judge_line(fpp_view line, fpp_error *why)
{
    uint32_t lf = fpp_find(line, PROTOCOL_OFFSET, line.length, '\n');
    uint32_t cr = fpp_find(line, PROTOCOL_OFFSET, lf, '\r');
    if (cr + 1 < lf)
        return fpp_fault(why, FPP_STATUS_V1_CARRIAGE_RETURN, cr + 1);
    if (cr == lf && lf < line.length)
        return fpp_fault(why, FPP_STATUS_V1_LINE_FEED, lf);
    return lf < line.length ? FPP_STATUS_OK : unfinished(line, why);
}

static inline int parse_unknown(fpp_view line, fpp_header *out, fpp_error *why)
{
    uint32_t lf = find_line_feed(line);
    /*@ loop invariant PROTOCOL_OFFSET <= lf <= line.length || lf == line.length;
        loop assigns lf;
        loop variant line.length - lf; */
    while (lf < line.length && fpp_u8(line, lf - 1) != '\r')
        lf = fpp_find(line, lf + 1, line.length, '\n');
    if (lf == line.length)
        return unfinished(line, why);
    out->size = lf + 1;
    out->tlvs.offset = lf + 1;
    return FPP_STATUS_OK;
}

/* Nearly every line is right, so it is read before its end is looked for; only where that fails
 * does it matter whether the line is whole (2.1: "the receiver must wait for the CRLF sequence
 * before starting to decode the addresses"). */
static int parse_addresses(fpp_view line, fpp_header *out, fpp_error *why)
{
    fpp_error field;
    int status = read_fields(line, out, &field);
    if (status == FPP_STATUS_OK) {
        out->tlvs.offset = out->size;
        return FPP_STATUS_OK;
    }
    int judged = judge_line(line, why);
    if (judged == FPP_STATUS_OK) {
        *why = field;
        return status;
    }
    return judged;
}

int fpp_v1_parse(fpp_view input, fpp_header *out, fpp_error *why)
{
    if (input.length > SPACE_OFFSET && fpp_u8(input, SPACE_OFFSET) != ' ')
        return fpp_fault(why, FPP_STATUS_V1_SPACE, SPACE_OFFSET);
    fpp_view line = {input.data, /* "107 bytes"; what is behind cannot belong to it */
                     input.length < FPP_V1_MAX_SIZE ? input.length : FPP_V1_MAX_SIZE};
    uint8_t family = read_family(line);
    *out = (fpp_header){.version = 1, .command = FPP_COMMAND_PROXY, .family = family};
    if (family == FPP_FAMILY_UNSPEC && is_unknown(line))
        return parse_unknown(line, out, why);
    return parse_addresses(line, out, why);
}
