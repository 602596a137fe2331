/* tests/vectors, whole and cut short and with bytes behind, and mutants of them. */
#include "core_test.h"

#include <stdio.h>
#include <stdlib.h>

/* A line of the file, its fields separated by single spaces. "*" is not compared, "-" is empty. */
enum {
    ID, HEX, STATUS, OFFSET, NEEDED, SIZE, VERSION, COMMAND, FAMILY, TRANSPORT, SOURCE, SOURCE_PORT,
    DESTINATION, DESTINATION_PORT, TLVS, SSL, FIELDS
};

enum { ROOM = 2 * FPP_MAX_SIZE, MUTANTS = 40, LONGEST_MUTANT = 4096 };

static guarded front, behind; /* bytes right after a guard, and right before one */

static uint8_t nibble(char digit)
{
    return (uint8_t)(digit <= '9' ? digit - '0' : digit - 'a' + 10);
}

static size_t from_hex(uint8_t *out, const char *hex)
{
    size_t size = 0;
    for (; hex[0] != '\0' && hex[0] != '-'; hex += 2)
        out[size++] = (uint8_t)(nibble(hex[0]) << 4 | nibble(hex[1]));
    return size;
}

static int is_free(const char *field)
{
    return field[0] == '*';
}

static void check_number(const char *field, uint32_t value, const char *name)
{
    check(is_free(field) || strtoul(field, NULL, 10) == value, "%s is %u, not %s", name, value,
          field);
}

/* Up to size bytes of hex, wherever they stop: how many digits there were, or 0 if they differ. */
static size_t digits_of(const char *hex, const uint8_t *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (hex[2 * i] == '\0' || (nibble(hex[2 * i]) << 4 | nibble(hex[2 * i + 1])) != bytes[i])
            return 0;
    return 2 * size;
}

static void check_bytes(const char *field, const uint8_t *bytes, size_t size, const char *name)
{
    if (is_free(field))
        return;
    size_t digits = field[0] == '-' ? 0 : strlen(field);
    check(digits == 2 * size && digits_of(field, bytes, size) == digits, "%s is not %s", name,
          field);
}

/* A list like "01:6832,05:6964", NOOP left out on both sides. */
static void check_chain(const char *list, const uint8_t *data, fpp_span rest, const char *name)
{
    fpp_tlv tlv;
    if (is_free(list))
        return;
    const char *at = list[0] == '-' ? "" : list;
    while (fpp_tlv_next(data, &rest, &tlv) > 0) {
        if (tlv.type == FPP_TLV_NOOP)
            continue;
        const uint8_t *value = data + tlv.value.offset;
        size_t digits = at[0] == '\0' || digits_of(at, &tlv.type, 1) == 0
                            ? 0
                            : 3 + digits_of(at + 3, value, tlv.value.length);
        if (digits != 3 + 2 * (size_t)tlv.value.length ||
            (at[digits] != ',' && at[digits] != '\0')) {
            check(0, "%s: at %u is not what stands at %.20s", name, tlv.value.offset, at);
            return;
        }
        at += digits + (at[digits] == ',');
    }
    check(at[0] == '\0', "%s: %.20s is missing", name, at);
}

/* "!" where the first SSL value must not open, else "client/verify/sub-TLVs". */
static void check_ssl(const char *field, const uint8_t *data, const fpp_header *header)
{
    fpp_span rest = header->tlvs;
    fpp_tlv tlv = {0, {0, 0}};
    fpp_ssl ssl;
    if (is_free(field))
        return;
    while (fpp_tlv_next(data, &rest, &tlv) > 0 && tlv.type != FPP_TLV_SSL)
        continue;
    int opened = tlv.type == FPP_TLV_SSL && fpp_ssl_open(data, tlv.value, &ssl);
    check(opened == (field[0] != '!'), "SSL opened: %d", opened);
    if (!opened || field[0] == '!')
        return;
    char *end;
    check(strtoul(field, &end, 10) == ssl.client, "SSL client is %u", ssl.client);
    check(strtoul(end + 1, &end, 10) == ssl.verify, "SSL verify is %u", (unsigned)ssl.verify);
    check_chain(end + 1, data, ssl.tlvs, "SSL");
}

static void check_address(char *const *field, int which, const uint8_t *data,
                          const fpp_header *header)
{
    int is_source = which == SOURCE;
    const uint8_t *address = is_source ? header->source : header->destination;
    fpp_span path = is_source ? header->source_path : header->destination_path;
    if (header->family == FPP_FAMILY_UNIX)
        check_bytes(field[which], data + path.offset, path.length, "a path");
    else
        check_bytes(field[which], address,
                    header->family == FPP_FAMILY_INET ? FPP_IPV4_SIZE : FPP_IPV6_SIZE,
                    "an address");
    check_number(field[which + 1], is_source ? header->source_port : header->destination_port,
                 "a port");
}

static void check_header(char *const *field, const uint8_t *data, const fpp_header *header)
{
    check_number(field[SIZE], header->size, "size");
    check_number(field[VERSION], header->version, "version");
    check_number(field[COMMAND], header->command, "command");
    check_number(field[FAMILY], header->family, "family");
    check_number(field[TRANSPORT], header->transport, "transport");
    check_address(field, SOURCE, data, header);
    check_address(field, DESTINATION, data, header);
    check_chain(field[TLVS], data, header->tlvs, "TLVs");
    check_ssl(field[SSL], data, header);
    walk(data, header);
}

static const char *name_of(int status)
{
    switch (status) {
    case FPP_STATUS_OK:
        return "ok";
    case FPP_STATUS_INCOMPLETE:
        return "incomplete";
    case FPP_STATUS_MISSING:
        return "not_proxy";
    default:
        return "invalid";
    }
}

static void check_detected(const uint8_t *data, size_t length, const verdict *found)
{
    int detected = fpp_detect(data, length);
    int started = length > 0 && data[0] == 'P' ? FPP_DETECTED_V1 : FPP_DETECTED_V2;
    size_t whole = started == FPP_DETECTED_V1 ? FPP_SIGNATURE_V1_SIZE : FPP_SIGNATURE_V2_SIZE;
    int expected = found->status == FPP_STATUS_MISSING ? FPP_DETECTED_MISSING
                   : length < whole                    ? FPP_DETECTED_UNDECIDED
                                                       : started;
    check(detected == expected, "%zu bytes are detected as %d, not %d", length, detected, expected);
}

/* The same bytes at both guards give the same verdict, with the payload that stands behind the
 * bytes in front. */
static verdict judge_twice(const uint8_t *bytes, size_t length)
{
    const uint8_t *at_end = guarded_at_end(behind, bytes, length);
    verdict found = judge(at_end, length);
    verdict other = judge(front.first, length);
    check(same_verdict(&found, &other), "%zu bytes: %d and, elsewhere, %d", length, found.status,
          other.status);
    check_detected(at_end, length, &found);
    return found;
}

/* A proper prefix of a good header is incomplete; any other verdict is final. */
static verdict judge_prefixes(const uint8_t *bytes, size_t size)
{
    verdict found = judge(NULL, 0);
    size_t settled = 0;
    guarded_at_start(front, bytes, size);
    check(found.status == FPP_STATUS_INCOMPLETE, "no bytes: %d", found.status);
    for (size_t length = 0; length <= size; length++) {
        verdict now = judge_twice(bytes, length);
        if (found.status == FPP_STATUS_INCOMPLETE) {
            settled = length;
            check(now.status != FPP_STATUS_OK || length == now.header.size,
                  "good at %zu bytes, but %u long", length, now.header.size);
            check(now.status != FPP_STATUS_OK || found.why.needed <= length,
                  "good at %zu bytes, though %u were needed", length, found.why.needed);
            check(now.status != FPP_STATUS_INCOMPLETE ||
                      (now.why.needed > length && now.why.needed <= FPP_MAX_SIZE),
                  "%zu bytes need %u", length, now.why.needed);
        } else {
            check(same_verdict(&found, &now), "%d at %zu bytes is %d at %zu", found.status,
                  settled, now.status, length);
        }
        found = now;
    }
    return found;
}

/* Every one of them would have to end before the header's end, or it was not needed. */
static void check_needed(const uint8_t *bytes, uint32_t size)
{
    for (uint32_t length = 0; length < size; length++) {
        verdict found = judge(bytes, length);
        check(found.status == FPP_STATUS_INCOMPLETE && found.why.needed > length &&
                  found.why.needed <= size,
              "%u of %u bytes: status %d, needed %u", length, size, found.status,
              found.why.needed);
    }
}

static void check_bytes_behind(const uint8_t *bytes, size_t size, const verdict *alone)
{
    static const struct {
        const char *text;
        size_t size;
    } TAILS[] = {
        {"", 1}, {"\r\n", 2}, {"\n", 1}, {" ", 1}, {"1", 1}, {".1", 2}, {":1", 2}, {"\xFF\xFF", 2},
        {"GET / HTTP/1.1\r\n\r\n", 18}, {"PROXY UNKNOWN\r\n", 15},
        {"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0", 16},
        {" 1.2.3.4 1.2.3.4 1 1\r\n", 22},
    };
    static uint8_t longer[ROOM];
    memcpy(longer, bytes, size);
    for (size_t i = 0; i < sizeof TAILS / sizeof *TAILS; i++) {
        memcpy(longer + size, TAILS[i].text, TAILS[i].size);
        guarded_at_start(front, longer, size + TAILS[i].size);
        verdict found = judge_twice(longer, size + TAILS[i].size);
        if (alone->status == FPP_STATUS_INCOMPLETE)
            check(found.status != FPP_STATUS_OK || found.header.size > size,
                  "tail %zu makes an earlier end", i);
        else
            check(same_verdict(alone, &found), "tail %zu: %d becomes %d", i, alone->status,
                  found.status);
    }
}

static void check_max_size(const uint8_t *bytes, const fpp_header *header)
{
    fpp_header out;
    fpp_error why;
    check(fpp_parse(bytes, header->size, header->size, &out, &why) == FPP_STATUS_OK,
          "refused at exactly max_size");
    if (header->version == 1 || header->size == FPP_V2_HEAD_SIZE)
        return;
    int status = fpp_parse(bytes, FPP_V2_HEAD_SIZE, header->size - 1, &out, &why);
    check(status == FPP_STATUS_V2_TOO_LARGE && why.offset == 14,
          "above max_size: status %d at %u", status, why.offset);
}

/* A few bytes changed, dropped or doubled: no verdict is expected, but all the relations hold. */
static void try_mutants(const uint8_t *bytes, size_t size)
{
    static uint8_t mutant[LONGEST_MUTANT + 1];
    for (int i = 0; i < MUTANTS && size > 0 && size <= LONGEST_MUTANT; i++) {
        size_t length = size;
        memcpy(mutant, bytes, size);
        for (uint32_t edits = 1 + random_below(3); edits > 0 && length > 0; edits--) {
            uint32_t at = random_below((uint32_t)length);
            uint32_t kind = random_below(8);
            if (kind == 0) {
                memmove(mutant + at, mutant + at + 1, --length - at);
            } else if (kind == 1 && length < sizeof mutant) {
                memmove(mutant + at + 1, mutant + at, length++ - at);
            } else if (kind < 5) {
                random_bytes(mutant + at, 1);
            } else {
                mutant[at] = (uint8_t)"\r\n .:019afPX\x20\x21"[random_below(15)];
            }
        }
        guarded_at_start(front, mutant, length);
        verdict found = judge_twice(mutant, length);
        if (found.status == FPP_STATUS_OK)
            walk(guarded_at_end(behind, mutant, found.header.size), &found.header);
        else if (found.status != FPP_STATUS_INCOMPLETE)
            check_bytes_behind(mutant, length, &found);
    }
}

static void test_vector(char *const *field)
{
    static uint8_t bytes[ROOM];
    size_t size = from_hex(bytes, field[HEX]);
    trying(field[ID]);
    verdict found = judge_prefixes(bytes, size);
    check(strcmp(name_of(found.status), field[STATUS]) == 0, "status %d, not %s", found.status,
          field[STATUS]);
    check_number(field[OFFSET], found.why.offset, "offset");
    check_number(field[NEEDED], found.why.needed, "needed");
    check_bytes_behind(bytes, size, &found);
    if (found.status == FPP_STATUS_OK) {
        const uint8_t *header = guarded_at_end(behind, bytes, found.header.size);
        check_header(field, header, &found.header);
        check_needed(header, found.header.size);
        check_max_size(header, &found.header);
    }
    try_mutants(bytes, size);
}

static char *contents_of(const char *path)
{
    FILE *file = fopen(path, "rb");
    long size = -1;
    if (file != NULL && fseek(file, 0, SEEK_END) == 0)
        size = ftell(file);
    char *text = size < 0 ? NULL : malloc((size_t)size + 1);
    if (text == NULL || fseek(file, 0, SEEK_SET) != 0 ||
        fread(text, 1, (size_t)size, file) != (size_t)size) {
        perror(path);
        exit(2);
    }
    fclose(file);
    text[size] = '\0';
    return text;
}

void test_vectors(const char *path)
{
    char *text = contents_of(path);
    unsigned count = 0;
    front = guarded_open(ROOM);
    behind = guarded_open(ROOM);
    for (char *at = strtok(text, " \n"); at != NULL; count++) {
        char *field[FIELDS];
        for (int i = 0; i < FIELDS; i++, at = strtok(NULL, " \n"))
            field[i] = at;
        test_vector(field);
    }
    printf("vectors: %u\n", count);
    guarded_close(front);
    guarded_close(behind);
    free(text);
}
