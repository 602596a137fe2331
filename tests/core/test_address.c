/* Addresses as text: against tables, against libc, and in a v1 line against themselves. */
#include "core_test.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <sys/socket.h>

enum { TEXT_ROOM = 64, RANDOM_TEXTS = 200000, RANDOM_ADDRESSES = 100000 };

static guarded front, behind;

static uint32_t size_of(int family)
{
    return family == FPP_FAMILY_INET ? FPP_IPV4_SIZE : FPP_IPV6_SIZE;
}

/* Whether "PROXY TCP4 <text> <text>..." is good, and says the same twice. The reader of a line
 * sees other bytes around the text than fpp_read_address does. */
static int read_in_line(uint8_t *address, int family, const char *text, size_t length)
{
    char line[2 * TEXT_ROOM + FPP_V1_MAX_SIZE];
    const char *other = family == FPP_FAMILY_INET ? "0.0.0.0" : "::";
    size_t size = (size_t)snprintf(line, sizeof line, "PROXY TCP%c ",
                                   family == FPP_FAMILY_INET ? '4' : '6');
    size_t source = size;
    memcpy(line + size, text, length);
    size += length;
    size += (size_t)snprintf(line + size, sizeof line - size, " %s 0 0\r\n", other);
    verdict first = judge(guarded_at_end(behind, line, size), size);
    size = source + (size_t)snprintf(line + source, sizeof line - source, "%s ", other);
    memcpy(line + size, text, length);
    size += length;
    size += (size_t)snprintf(line + size, sizeof line - size, " 0 0\r\n");
    verdict second = judge(guarded_at_end(behind, line, size), size);
    int good = first.status == FPP_STATUS_OK;
    check(good == (second.status == FPP_STATUS_OK), "as source %d, as destination %d",
          first.status, second.status);
    if (good) {
        memcpy(address, first.header.source, FPP_IPV6_SIZE);
        check(memcmp(address, second.header.destination, size_of(family)) == 0,
              "as source and as destination it differs");
    }
    return good;
}

/* A line takes no text with a space or an end of line in it, nor one that makes it too long. */
static int fits_line(const char *text, size_t length)
{
    return length < FPP_ADDRESS_TEXT_SIZE && memchr(text, ' ', length) == NULL &&
           memchr(text, '\r', length) == NULL && memchr(text, '\n', length) == NULL;
}

static int read_everywhere(uint8_t *address, int family, const char *text, size_t length)
{
    uint8_t other[FPP_IPV6_SIZE];
    char *at_end = (char *)guarded_at_end(behind, text, length);
    int good = fpp_read_address(address, family, at_end, length);
    char *at_start = (char *)guarded_at_start(front, text, length);
    check(fpp_read_address(other, family, at_start, length) == good,
          "read at one guard, not at the other");
    check(!good || memcmp(address, other, size_of(family)) == 0, "read as two addresses");
    if (fits_line(text, length)) {
        check(read_in_line(other, family, text, length) == good, "alone %d, in a line %d", good,
              !good);
        check(!good || memcmp(address, other, size_of(family)) == 0, "another one in a line");
    }
    return good;
}

static void check_malformed(int family, const char *const *texts, size_t count)
{
    uint8_t address[FPP_IPV6_SIZE];
    for (size_t i = 0; i < count; i++) {
        trying(texts[i]);
        check(!read_everywhere(address, family, texts[i], strlen(texts[i])), "accepted");
    }
    trying("a NUL at the end");
    check(!read_everywhere(address, family, family == FPP_FAMILY_INET ? "1.2.3.4" : "::1\0:1",
                           family == FPP_FAMILY_INET ? 8 : 6),
          "accepted");
}

static void test_malformed(void)
{
    static const char *const V4[] = {
        "", " ", ".", "...", "1", "1.2.3", "1.2.3.", ".1.2.3", "1..2.3", "1.2..3", "1.2.3.4.",
        "1.2.3.4.5", ".1.2.3.4", "1.2.3.4 ", " 1.2.3.4", "1.2.3.256", "256.1.1.1", "1.256.1.1",
        "1.1.999.1", "01.2.3.4", "1.02.3.4", "1.2.00.4", "1.2.3.04", "001.2.3.4", "1.2.3.000",
        "1234.1.1.1", "1.1234.1.1", "1.1.1234.1", "1.1.1.1234", "0255.1.1.1", "1.2.3.0255",
        "1.2.3.+4", "-1.2.3.4", "0x1.2.3.4", "1.2.3.a", "1,2,3,4", "1.2.3/4", "1.2.3:4",
        "1.2.3.4/8", "1.2.3.4:1", "127.1", "2130706433", "1111111111111111", "255.255.255.2555",
        "1.2.3.4%lo", "::1", "::1.2.3.4", "1.2.3.\xC2\xB2", "1.2.3.4\t", "99999999999.1.1.1",
    };
    static const char *const V6[] = {
        "", ":", ":::", "::::", "1", "1:", ":1", "1:2", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:",
        ":1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:", ":1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8:9",
        "1:2:3:4:5:6:7:8::", "::1:2:3:4:5:6:7:8", "1::2:3:4:5:6:7:8", "1:2:3:4::5:6:7:8", "1:::2",
        "1::2:", ":1::2", "1::2::3", "::1::", "12345::", "::12345", "00001::", "::g", "g::",
        "1:2:3:4:5:6:7:g", "::1%lo", "::1%1", "::1/128", "[::1]", "::1 ", " ::1", "::1\t",
        "1.2.3.4", "::1.2.3", "::1.2.3.", "::1.2.3.4.5", "::1.2.3.256", "::01.2.3.4",
        "::1.2.3.4:1", "1.2.3.4::", "::1..2.3", "::a.2.3.4", "::1.2.3.a", "::1.2.3.04",
        "1:2:3:4:5:6:7:1.2.3.4", "1:2:3:4:5:6:7:8:1.2.3.4", "1:2:3:4:5:1.2.3.4",
        "1:2:3:4:5:6::1.2.3.4", "1:2:3:4:5:6:7::1.2.3.4", "::ffff:1234.1.1.1", "::0x1", "::-1",
        "::+1", "::1_0", "1;2::", "::\xC2\xB2", "::ffff:.1.2.3", "::1.", "::.1", "1:2:3:4:5:6:7:.",
    };
    check_malformed(FPP_FAMILY_INET, V4, sizeof V4 / sizeof *V4);
    check_malformed(FPP_FAMILY_INET6, V6, sizeof V6 / sizeof *V6);
}

/* Text of which nothing can be read, though its beginning is an address. */
static void test_nothing_read(void)
{
    static const char *const TEXTS[] = {
        "1:2:3:4:5:6:7:1.2.3.4", "::1.2.3.256", "::1.2.3", "1::2::3", "1:", "::1:", "1:2:3",
    };
    uint8_t address[FPP_IPV6_SIZE];
    for (size_t i = 0; i < sizeof TEXTS / sizeof *TEXTS; i++) {
        size_t size = strlen(TEXTS[i]);
        fpp_view text = fpp_view_of(guarded_at_end(behind, TEXTS[i], size), size);
        trying(TEXTS[i]);
        check(fpp_ipv6_text(text, 0, address) == 0, "some of it is read");
    }
}

static size_t format(char out[FPP_ADDRESS_TEXT_SIZE], int family, const uint8_t *address)
{
    char *at = (char *)guarded_at_end(behind, out, FPP_ADDRESS_TEXT_SIZE);
    memset(at, 'X', FPP_ADDRESS_TEXT_SIZE);
    const uint8_t *from = guarded_at_end(front, address, size_of(family));
    size_t size = fpp_format_address(at, family, from);
    check(size < FPP_ADDRESS_TEXT_SIZE && at[size] == '\0' && strlen(at) == size,
          "the length is not that of the text");
    memcpy(out, at, FPP_ADDRESS_TEXT_SIZE);
    return size;
}

/* What RFC 5952 section 4 and 5 ask for, and text of RFC 4291 that nobody would write. */
static void test_canonical(void)
{
    static const char *const TABLE[][2] = {
        {"2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"},
        {"2001:0db8:0000:0000:0001:0000:0000:0001", "2001:db8::1:0:0:1"},
        {"2001:db8::1:0:0:1", "2001:db8::1:0:0:1"},
        {"2001:db8::0:1:0:0:1", "2001:db8::1:0:0:1"},
        {"2001:DB8:0:0:1::1", "2001:db8::1:0:0:1"},
        {"2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"},
        {"2001:db8::1:1:1:1:1", "2001:db8:0:1:1:1:1:1"},
        {"2001:0:0:1:0:0:0:1", "2001:0:0:1::1"},
        {"2001:db8:aaaa:bbbb:cccc:dddd:eeee:0001", "2001:db8:aaaa:bbbb:cccc:dddd:eeee:1"},
        {"0:0:0:0:0:0:0:0", "::"},
        {"::", "::"},
        {"0::0", "::"},
        {"0:0:0:0:0:0:0:1", "::1"},
        {"1::", "1::"},
        {"1:0:0:0:0:0:0:0", "1::"},
        {"1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"},
        {"::2:3:4:5:6:7:8", "0:2:3:4:5:6:7:8"},
        {"1:0:0:4:0:0:7:8", "1::4:0:0:7:8"},
        {"1:0:3:4:0:0:7:0", "1:0:3:4::7:0"},
        {"0:0:3:4:5:0:0:0", "0:0:3:4:5::"},
        {"::ffff:1.2.3.4", "::ffff:1.2.3.4"},
        {"::FFFF:0102:0304", "::ffff:1.2.3.4"},
        {"0:0:0:0:0:ffff:255.255.255.255", "::ffff:255.255.255.255"},
        {"::fffe:1.2.3.4", "::fffe:102:304"},
        {"::1.2.3.4", "::102:304"},
        {"64:ff9b::192.0.2.33", "64:ff9b::c000:221"},
        {"1:2:3:4:5:6:1.2.3.4", "1:2:3:4:5:6:102:304"},
        {"ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255",
         "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"},
        {"::ffff:0:0", "::ffff:0.0.0.0"},
    };
    for (size_t i = 0; i < sizeof TABLE / sizeof *TABLE; i++) {
        uint8_t address[FPP_IPV6_SIZE];
        char text[FPP_ADDRESS_TEXT_SIZE] = "";
        trying(TABLE[i][0]);
        check(read_everywhere(address, FPP_FAMILY_INET6, TABLE[i][0], strlen(TABLE[i][0])),
              "refused");
        format(text, FPP_FAMILY_INET6, address);
        check(strcmp(text, TABLE[i][1]) == 0, "%s, not %s", text, TABLE[i][1]);
    }
}

/* RFC 5952 writes dotted what is ::ffff:0:0/96, libc also what is ::/96 and neither :: nor ::1;
 * both are right to read. */
static int libc_differs(int family, const uint8_t *address)
{
    static const uint8_t ZEROS[12];
    return family == FPP_FAMILY_INET6 && memcmp(address, ZEROS, sizeof ZEROS) == 0;
}

static void check_round_trip(int family, const uint8_t *address)
{
    int af = family == FPP_FAMILY_INET ? AF_INET : AF_INET6;
    uint8_t back[FPP_IPV6_SIZE] = {0};
    uint8_t libc_back[FPP_IPV6_SIZE] = {0};
    char text[FPP_ADDRESS_TEXT_SIZE] = "";
    char libc[FPP_ADDRESS_TEXT_SIZE] = "";
    size_t size = format(text, family, address);
    trying(text);
    inet_ntop(af, address, libc, sizeof libc);
    check(strcmp(text, libc) == 0 || libc_differs(family, address), "libc writes %s", libc);
    check(inet_pton(af, text, libc_back) == 1 &&
              memcmp(libc_back, address, size_of(family)) == 0,
          "libc reads another address");
    check(read_everywhere(back, family, text, size) && memcmp(back, address, size_of(family)) == 0,
          "it is not read back");
}

static void test_round_trip(void)
{
    uint8_t address[FPP_IPV6_SIZE];
    for (uint32_t i = 0; i < FPP_IPV4_SIZE * 256; i++) {
        random_bytes(address, FPP_IPV4_SIZE);
        address[i / 256] = (uint8_t)i;
        check_round_trip(FPP_FAMILY_INET, address);
    }
    for (uint32_t i = 0; i < RANDOM_ADDRESSES; i++) {
        /* Each group is zero, short or full, so that runs of every length and place occur. */
        random_bytes(address, sizeof address);
        uint32_t zeros = i & 0xFF;
        for (uint32_t group = 0; group < 8; group++) {
            if (zeros >> group & 1)
                memset(address + 2 * group, 0, 2);
            else if (random_below(3) == 0)
                address[2 * group] = 0;
        }
        if (random_below(16) == 0)
            memcpy(address, "\0\0\0\0\0\0\0\0\0\0\xFF\xFF", 12);
        check_round_trip(random_below(4) == 0 ? FPP_FAMILY_INET : FPP_FAMILY_INET6, address);
    }
}

static size_t random_v4(char *out)
{
    static const uint32_t BOUNDS[] = {10, 100, 256, 300, 1000};
    int size = 0;
    for (int i = 0; i < 4; i++)
        size += snprintf(out + size, 8, random_below(30) == 0 ? "%s%02u" : "%s%u",
                         i == 0 ? "" : ".", random_below(BOUNDS[random_below(5)]));
    return (size_t)size;
}

static size_t random_v6(char *out)
{
    static const char *const GROUPS[] = {"%x", "%04x", "%X", "%x", "0", "%05x"};
    uint32_t count = random_below(8) == 0 ? random_below(10) : 8;
    uint32_t gap = random_below(3) == 0 ? 99 : random_below(9);
    int dotted = random_below(4) == 0;
    int size = 0;
    if (gap < count)
        count -= random_below(count - gap + 1);
    for (uint32_t i = 0; i < count; i++) {
        if (i == gap)
            size += snprintf(out + size, 3, "::");
        else if (i > 0)
            out[size++] = ':';
        if (dotted && i + 2 >= count)
            return (size_t)size + random_v4(out + size);
        const char *group = GROUPS[random_below(40) == 0 ? 5 : random_below(5)];
        size += snprintf(out + size, 8, group, random_below(1u << (1 + random_below(16))));
    }
    if (gap >= count && gap != 99)
        size += snprintf(out + size, 3, "::");
    return (size_t)size;
}

static size_t mutate(char *text, size_t size)
{
    static const char BYTES[] = "0123456789abcdefABCDEFgG.:./-+x%; \t\xFF::::....0011";
    for (uint32_t edits = random_below(3); edits > 0 && size > 0 && size < TEXT_ROOM; edits--) {
        uint32_t at = random_below((uint32_t)size);
        char byte = BYTES[random_below(sizeof BYTES - 1)];
        uint32_t kind = random_below(3);
        if (kind == 0) {
            memmove(text + at, text + at + 1, --size - at);
        } else {
            if (kind == 1)
                memmove(text + at + 1, text + at, size++ - at);
            text[at] = byte;
        }
    }
    return size;
}

/* glibc and musl take exactly what RFC 4291 describes, and dotted quads without heading zeros;
 * older BSDs allow those zeros, and would fail here. */
static void test_against_libc(void)
{
    unsigned good = 0;
    for (uint32_t i = 0; i < RANDOM_TEXTS; i++) {
        char text[TEXT_ROOM * 2];
        uint8_t ours[FPP_IPV6_SIZE] = {0};
        uint8_t libc[FPP_IPV6_SIZE] = {0};
        int family = i % 2 == 0 ? FPP_FAMILY_INET : FPP_FAMILY_INET6;
        size_t size = family == FPP_FAMILY_INET ? random_v4(text) : random_v6(text);
        size = mutate(text, size);
        text[size] = '\0';
        trying(text);
        int expected = inet_pton(family == FPP_FAMILY_INET ? AF_INET : AF_INET6, text, libc) == 1;
        int found = read_everywhere(ours, family, text, size);
        check(found == expected, "libc says %d", expected);
        check(!found || !expected || memcmp(ours, libc, size_of(family)) == 0,
              "libc reads another address");
        good += (unsigned)found;
    }
    trying("random texts");
    check(good > RANDOM_TEXTS / 10 && good < RANDOM_TEXTS * 9 / 10, "%u of %d are good", good,
          RANDOM_TEXTS);
}

/* A line of two texts of 45 bytes has 107 bytes at most if the ports are short. */
static void test_longest_lines(void)
{
    static const char *const ADDRESS = "ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255";
    static const char *const SHORTER = "ffff:ffff:ffff:ffff:ffff:ffff:255.255.25.25";
    static const unsigned PORTS[] = {1, 10, 100, 1000, 10000};
    for (size_t i = 0; i < 5 * 5; i++) {
        char line[2 * FPP_V1_MAX_SIZE];
        size_t size = (size_t)snprintf(line, sizeof line, "PROXY TCP6 %s %s %u %u\r\n", ADDRESS,
                                       i % 2 ? ADDRESS : SHORTER, PORTS[i % 5], PORTS[i / 5]);
        trying(line);
        verdict found = judge(guarded_at_end(behind, line, size), size);
        check(found.status == (size <= FPP_V1_MAX_SIZE ? FPP_STATUS_OK : FPP_STATUS_V1_TOO_LONG),
              "%zu bytes: status %d", size, found.status);
    }
}

void test_address(void)
{
    front = guarded_open(FPP_V1_MAX_SIZE * 4);
    behind = guarded_open(FPP_V1_MAX_SIZE * 4);
    test_malformed();
    test_nothing_read();
    test_canonical();
    test_round_trip();
    test_against_libc();
    test_longest_lines();
    guarded_close(front);
    guarded_close(behind);
}
