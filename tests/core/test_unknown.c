/* Where a line of UNKNOWN ends (2.1): at its first CRLF, wherever that is. */
#include <string.h>

#include "core_test.h"

enum { KEYWORD_END = 14, BEHIND = FPP_V1_MAX_SIZE };

static void check_line(guarded region, size_t size, size_t behind)
{
    uint8_t bytes[FPP_V1_MAX_SIZE + BEHIND];
    memset(bytes, '\r', size - 1); /* a CR stands before the CRLF, too */
    memcpy(bytes, "PROXY UNKNOWN ", KEYWORD_END);
    bytes[size - 2] = '\r';
    bytes[size - 1] = '\n';
    memset(bytes + size, '\n', behind);
    verdict found = judge(guarded_at_end(region, bytes, size + behind), size + behind);
    check(found.status == FPP_STATUS_OK && found.header.size == size,
          "%u bytes, %u behind: status %d, size %u", (unsigned)size, (unsigned)behind, found.status,
          found.header.size);
}

void test_unknown(void)
{
    guarded region = guarded_open(FPP_V1_MAX_SIZE + BEHIND);
    trying("lines of UNKNOWN");
    for (size_t size = KEYWORD_END + 2; size <= FPP_V1_MAX_SIZE; size++)
        for (size_t behind = 0; behind <= BEHIND; behind++)
            check_line(region, size, behind);
    guarded_close(region);
}
