/* What is wrong with a header, and at which byte: one bad header or more for each status. */
#include "core_test.h"

#define BYTES(text) text, sizeof(text) - 1
#define V2 "\r\n\r\n\0\r\nQUIT\n"
#define TCP4 V2 "\x21\x11" /* the length and the block of 12 bytes follow */
#define BLOCK "\0\0\0\0\0\0\0\0\0\0\0\0"
#define FIFTY "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"

static const struct {
    const char *bytes;
    size_t size;
    int status;
    uint32_t offset;
} TABLE[] = {
    {BYTES("GET / HTTP/1.1\r\n\r\n"), FPP_STATUS_MISSING, 0},
    {BYTES("PROXYTCP4 1.2.3.4 5.6.7.8 1 2\r\n"), FPP_STATUS_V1_SPACE, 5},
    {BYTES("PROXY\r\n"), FPP_STATUS_V1_SPACE, 5},
    {BYTES("PROXY TCP4 1.2.3.4 5.6.7.8 1 2\n"), FPP_STATUS_V1_LINE_FEED, 30},
    {BYTES("PROXY \n"), FPP_STATUS_V1_LINE_FEED, 6},
    {BYTES("PROXY TCP4 1.2.3.4\rx"), FPP_STATUS_V1_CARRIAGE_RETURN, 19},
    {BYTES("PROXY TCP4 1.2.3.4\r\r\n"), FPP_STATUS_V1_CARRIAGE_RETURN, 19},
    {BYTES("PROXY UNKNOWN\rx"), FPP_STATUS_V1_CARRIAGE_RETURN, 14}, /* no keyword, so no UNKNOWN */
    {BYTES("PROXY UNKNOWN " FIFTY FIFTY), FPP_STATUS_V1_TOO_LONG, 106},
    {BYTES("PROXY UNKNOWNS\r\n"), FPP_STATUS_V1_PROTOCOL, 6},
    {BYTES("PROXY tcp4 1.2.3.4 5.6.7.8 1 2\r\n"), FPP_STATUS_V1_PROTOCOL, 6},
    {BYTES("PROXY TCP4  1.2.3.4 5.6.7.8 1 2\r\n"), FPP_STATUS_V1_SOURCE, 11},
    {BYTES("PROXY TCP6 1::2::3 ::2 1 2\r\n"), FPP_STATUS_V1_SOURCE, 11},
    {BYTES("PROXY TCP4 1.2.3.4  1 2\r\n"), FPP_STATUS_V1_DESTINATION, 19},
    {BYTES("PROXY TCP6 ::1 ::2%1 1 2\r\n"), FPP_STATUS_V1_DESTINATION, 15},
    {BYTES("PROXY TCP4 1.2.3.4 5.6.7.8  2\r\n"), FPP_STATUS_V1_SOURCE_PORT, 27},
    {BYTES("PROXY TCP4 1.2.3.4 5.6.7.8 65536 2\r\n"), FPP_STATUS_V1_SOURCE_PORT, 27},
    {BYTES("PROXY TCP4 1.2.3.4 5.6.7.8 100000 2\r\n"), FPP_STATUS_V1_SOURCE_PORT, 27},
    {BYTES("PROXY TCP4 1.2.3.4 5.6.7.8 1 \r\n"), FPP_STATUS_V1_DESTINATION_PORT, 29},
    {BYTES("PROXY TCP4 1.2.3.4 5.6.7.8 1 02\r\n"), FPP_STATUS_V1_DESTINATION_PORT, 29},
    {BYTES("PROXY TCP4 1.2.3.4 5.6.7.8 1 2 \r\n"), FPP_STATUS_V1_END, 30},
    {BYTES("PROXY TCP4 1.2.3.4 5.6.7.8 1 100000\r\n"), FPP_STATUS_V1_END, 34},
    {BYTES(V2 "\x11"), FPP_STATUS_V2_VERSION, 12},
    {BYTES(V2 "\x22"), FPP_STATUS_V2_COMMAND, 12},
    {BYTES(V2 "\x21\x41"), FPP_STATUS_V2_FAMILY, 13},
    {BYTES(V2 "\x21\x13"), FPP_STATUS_V2_TRANSPORT, 13},
    {BYTES(TCP4 "\0\x0B"), FPP_STATUS_V2_LENGTH, 14},
    {BYTES(TCP4 "\0\x0D" BLOCK "\1"), FPP_STATUS_TLV_TRUNCATED, 28},
    {BYTES(TCP4 "\0\x0E" BLOCK "\1\0"), FPP_STATUS_TLV_TRUNCATED, 28},
    {BYTES(TCP4 "\0\x11" BLOCK "\1\0\1h\1"), FPP_STATUS_TLV_TRUNCATED, 32},
    {BYTES(TCP4 "\0\x0F" BLOCK "\1\0\1"), FPP_STATUS_TLV_OVERRUN, 29},
    {BYTES(TCP4 "\0\x11" BLOCK "\1\0\3h2"), FPP_STATUS_TLV_OVERRUN, 29},
    {BYTES(TCP4 "\0\x12" BLOCK "\3\0\3\0\0\0"), FPP_STATUS_CHECKSUM_SIZE, 29},
    {BYTES(TCP4 "\0\x1A" BLOCK "\3\0\4\0\0\0\0\3\0\4\0\0\0\0"), FPP_STATUS_CHECKSUM_REPEATED, 35},
    {BYTES(TCP4 "\0\x13" BLOCK "\3\0\4\0\0\0\0"), FPP_STATUS_CHECKSUM_WRONG, 31},
};

static void check_fault(guarded region, const void *bytes, size_t size, int status, uint32_t offset)
{
    verdict found = judge(guarded_at_end(region, bytes, size), size);
    check(found.status == status && found.why.offset == offset && found.why.needed == 0,
          "status %d at %u, needed %u; not %d at %u", found.status, found.why.offset,
          found.why.needed, status, offset);
}

void test_faults(void)
{
    enum { ID_LENGTH = FPP_UNIQUE_ID_MAX_SIZE + 1 };
    static const char UNIQUE_ID[31 + ID_LENGTH] = TCP4 "\0\x90" BLOCK "\5\0\x81";
    guarded region = guarded_open(sizeof UNIQUE_ID);
    for (size_t i = 0; i < sizeof TABLE / sizeof *TABLE; i++) {
        trying(TABLE[i].bytes);
        check_fault(region, TABLE[i].bytes, TABLE[i].size, TABLE[i].status, TABLE[i].offset);
    }
    trying("a UNIQUE_ID of 129 bytes");
    check_fault(region, UNIQUE_ID, sizeof UNIQUE_ID, FPP_STATUS_UNIQUE_ID_SIZE, 29);
    guarded_close(region);
}
