/* fpp_build: what it writes is parsed back, it writes nothing but that, and it refuses the rest. */
#include "core_test.h"

enum { HEADERS = 30000, LONG_HEADERS = 300, MOST_TLVS = 6, MARK = 0xA5 };

/* What a header is built from, each part up to the guard behind it. */
typedef struct {
    const fpp_header *header;
    const uint8_t *data;
    const fpp_tlv_in *tlvs;
    size_t count;
    unsigned flags;
} order;

static guarded output, headers, paths, values, lists;

static size_t build(uint8_t *out, size_t capacity, const order *from)
{
    return fpp_build(out, capacity, from->header, from->data, from->tlvs, from->count,
                     from->flags);
}

static int is_untouched(const uint8_t *bytes, size_t size)
{
    return size == 0 || (bytes[0] == MARK && memcmp(bytes, bytes + 1, size - 1) == 0);
}

static uint8_t *marked(size_t size)
{
    memset(output.first, MARK, output.room);
    return output.first + output.room - size;
}

/* The size without room, with too little and with just enough; the header is in output. */
static const uint8_t *build_exactly(const order *from, size_t *size)
{
    *size = build(NULL, 0, from);
    uint8_t *out = marked(*size);
    size_t capacity = *size > 0 ? random_below((uint32_t)*size) : 0;
    uint8_t *end = output.first + output.room;
    check(build(end - capacity, capacity, from) == *size, "another size for less room");
    check(*size == 0 || build(out + 1, *size - 1, from) == *size, "another size for one less");
    check(is_untouched(output.first, output.room), "written where there is no room");
    check(build(out, *size, from) == *size, "another size for just enough room");
    check(is_untouched(output.first, output.room - *size), "written in front of the room");
    return out;
}

static void check_refused(const order *from, const char *what)
{
    trying(what);
    uint8_t *out = marked(output.room);
    check(build(out, output.room, from) == 0, "not refused");
    check(build(NULL, 0, from) == 0, "not refused without room");
    check(is_untouched(output.first, output.room), "refused, but written");
}

/* A path as it is read back: cut at a NUL, but for one that leads it, and without padding. */
static fpp_span random_path(uint8_t *out, uint32_t at)
{
    fpp_span path = {at, random_below(4) == 0 ? FPP_UNIX_PATH_SIZE : random_below(109)};
    random_bytes(out + at, path.length);
    for (uint32_t i = 0; i < path.length; i++)
        if (out[at + i] == 0)
            out[at + i] = 'n';
    if (path.length > 1 && random_below(3) == 0) {
        out[at] = 0;
        for (uint32_t nuls = random_below(3); nuls > 0; nuls--)
            out[at + random_below(path.length - 1)] = 0;
    }
    return path;
}

static fpp_header random_header(uint8_t *data, uint32_t *data_size)
{
    fpp_header header;
    random_bytes((uint8_t *)&header, sizeof header); /* size and tlvs are not read */
    header.version = (uint8_t)(1 + random_below(2));
    header.command = (uint8_t)(header.version == 1 || random_below(8) > 0);
    header.family = (uint8_t)random_below(header.version == 1 ? 3 : 4);
    header.transport = (uint8_t)(header.version == 1 ? FPP_TRANSPORT_STREAM : random_below(3));
    if (header.command == FPP_COMMAND_LOCAL)
        header.family = header.transport = 0; /* else the addresses could look like TLVs */
    header.source_path = header.destination_path = (fpp_span){0, 0};
    *data_size = 0;
    if (header.family == FPP_FAMILY_UNIX) {
        header.source_path = random_path(data, 0);
        header.destination_path = random_path(data, header.source_path.length);
        *data_size = header.source_path.length + header.destination_path.length;
    }
    return header;
}

/* As many as fit into room bytes, their values one behind the other in bytes. */
static size_t random_tlvs(fpp_tlv_in *tlvs, uint8_t *bytes, uint32_t room, uint32_t *used)
{
    size_t count = random_below(MOST_TLVS + 1);
    int checksums = 0;
    *used = 0;
    random_bytes(bytes, room);
    for (size_t i = 0; i < count; i++) {
        uint32_t left = room - *used;
        uint8_t type = random_below(2) ? (uint8_t)random_below(6) : (uint8_t)random_below(256);
        if (type == FPP_TLV_CRC32C && (checksums++ > 0 || left < FPP_CRC32C_SIZE))
            type = FPP_TLV_NOOP;
        uint32_t most = type == FPP_TLV_UNIQUE_ID && left > FPP_UNIQUE_ID_MAX_SIZE
                            ? FPP_UNIQUE_ID_MAX_SIZE
                            : left;
        uint32_t length = type == FPP_TLV_CRC32C ? FPP_CRC32C_SIZE : random_below(most + 1);
        tlvs[i] = (fpp_tlv_in){type, (uint16_t)length, bytes + *used};
        *used += length;
    }
    return count;
}

static void check_path(const uint8_t *out, fpp_span found, const order *from, fpp_span path)
{
    check(found.length == path.length &&
              (path.length == 0 ||
               memcmp(out + found.offset, from->data + path.offset, path.length) == 0),
          "a path of %u bytes is read back as %u", path.length, found.length);
}

/* Without addresses, which is what UNSPEC in one of the two means, ports and addresses are zero. */
static void check_fields(const uint8_t *out, const fpp_header *found, const order *from)
{
    static const uint8_t ZEROS[FPP_IPV6_SIZE];
    const fpp_header *built = from->header;
    int carries = built->command == FPP_COMMAND_PROXY && built->transport != 0;
    uint8_t family = carries ? built->family : FPP_FAMILY_UNSPEC;
    check(found->version == built->version && found->command == built->command, "the command");
    check(found->family == family, "the family is %u, not %u", found->family, family);
    check(found->transport == (family == 0 ? 0 : built->transport), "the transport");
    if (family == FPP_FAMILY_UNIX) {
        check_path(out, found->source_path, from, built->source_path);
        check_path(out, found->destination_path, from, built->destination_path);
    }
    int is_inet = family == FPP_FAMILY_INET || family == FPP_FAMILY_INET6;
    size_t size = family == FPP_FAMILY_INET ? FPP_IPV4_SIZE : FPP_IPV6_SIZE;
    check(memcmp(found->source, is_inet ? built->source : ZEROS, size) == 0, "the source");
    check(memcmp(found->destination, is_inet ? built->destination : ZEROS, size) == 0,
          "the destination");
    check(found->source_port == (is_inet ? built->source_port : 0) &&
              found->destination_port == (is_inet ? built->destination_port : 0),
          "the ports");
}

static int is_checksum(const uint8_t *out, const fpp_header *found, fpp_span value)
{
    uint8_t copy[FPP_MAX_SIZE];
    memcpy(copy, out, found->size);
    memset(copy + value.offset, 0, FPP_CRC32C_SIZE);
    uint32_t crc = fpp_crc32c_by_table(0, copy, found->size);
    fpp_view view = {out, found->size};
    return fpp_u32(view, value.offset) == crc;
}

static void check_tlvs(const uint8_t *out, const fpp_header *found, const order *from)
{
    fpp_span rest = found->tlvs;
    fpp_tlv tlv;
    int added = (from->flags & FPP_BUILD_CHECKSUM) != 0;
    for (size_t i = 0; i < from->count; i++)
        added &= from->tlvs[i].type != FPP_TLV_CRC32C;
    if (added)
        check(fpp_tlv_next(out, &rest, &tlv) == 1 && tlv.type == FPP_TLV_CRC32C &&
                  is_checksum(out, found, tlv.value),
              "no checksum in front");
    for (size_t i = 0; i < from->count; i++) {
        const fpp_tlv_in *expected = &from->tlvs[i];
        int good = fpp_tlv_next(out, &rest, &tlv) == 1 && tlv.type == expected->type &&
                   tlv.value.length == expected->length;
        check(good, "TLV %zu", i);
        if (!good)
            return;
        if (tlv.type == FPP_TLV_CRC32C && from->flags != 0)
            check(is_checksum(out, found, tlv.value), "checksum");
        else
            check(tlv.value.length == 0 ||
                      memcmp(out + tlv.value.offset, expected->value, tlv.value.length) == 0,
                  "TLV %zu has another value", i);
    }
    check(fpp_tlv_next(out, &rest, &tlv) == 0, "more TLVs");
}

/* A checksum that the caller brings and does not want filled is wrong, but for one in 2^32. */
static int brings_checksum(const order *from)
{
    int brought = 0;
    for (size_t i = 0; i < from->count; i++)
        brought |= from->tlvs[i].type == FPP_TLV_CRC32C;
    return brought && from->flags == 0;
}

/* With an address block but without addresses nothing behind the block is read. */
static int is_ignored(const fpp_header *header)
{
    return header->command == FPP_COMMAND_PROXY && header->family + header->transport > 0 &&
           (header->family == 0 || header->transport == 0);
}

static void try_order(const order *from)
{
    size_t size;
    const uint8_t *out = build_exactly(from, &size);
    verdict found = judge(out, size);
    int ignored = from->header->version == 2 && is_ignored(from->header);
    if (!ignored && brings_checksum(from)) {
        check(found.status == FPP_STATUS_CHECKSUM_WRONG, "status %d", found.status);
        return;
    }
    check(found.status == FPP_STATUS_OK && found.header.size == size, "status %d, size %zu of %u",
          found.status, size, found.header.size);
    if (found.status != FPP_STATUS_OK)
        return;
    check_fields(out, &found.header, from);
    walk(out, &found.header);
    if (!ignored)
        check_tlvs(out, &found.header, from);
    else
        check(found.header.tlvs.length == 0, "TLVs behind what is ignored");
}

static void test_round_trip(uint32_t count, uint32_t room)
{
    static uint8_t data[2 * FPP_UNIX_PATH_SIZE], bytes[FPP_TLV_MAX_SIZE];
    for (uint32_t i = 0; i < count; i++) {
        uint32_t data_size, used = 0;
        fpp_tlv_in tlvs[MOST_TLVS];
        fpp_header header = random_header(data, &data_size);
        order from = {.count = 0};
        if (header.version == 2) {
            from.count = random_tlvs(tlvs, bytes, room, &used);
            from.flags = random_below(2);
        }
        const uint8_t *moved = guarded_at_end(values, bytes, used);
        for (size_t tlv = 0; tlv < from.count; tlv++)
            tlvs[tlv].value = moved + (tlvs[tlv].value - bytes);
        from.header = (const void *)guarded_at_end(headers, &header, sizeof header);
        from.data = data_size > 0 ? guarded_at_end(paths, data, data_size) : NULL;
        from.tlvs = from.count > 0 ? (const void *)guarded_at_end(lists, tlvs,
                                                                  from.count * sizeof *tlvs)
                                   : NULL;
        try_order(&from);
    }
}

static void test_ports(void)
{
    for (uint32_t port = 0; port <= UINT16_MAX; port++) {
        fpp_header header = {.version = 1,
                             .command = FPP_COMMAND_PROXY,
                             .family = FPP_FAMILY_INET,
                             .transport = FPP_TRANSPORT_STREAM,
                             .source_port = (uint16_t)port,
                             .destination_port = (uint16_t)(UINT16_MAX - port)};
        order from = {.header = &header};
        size_t size = build(output.first, output.room, &from);
        const uint8_t *line = guarded_at_end(output, output.first, size);
        verdict found = judge(line, size);
        check(found.status == FPP_STATUS_OK && found.header.source_port == port &&
                  found.header.destination_port == UINT16_MAX - port,
              "port %u", (unsigned)port);
    }
}

/* "PROXY TCP4 0.0.0.0 0.0.0.0 <port> 0" and the other way round. */
static void test_bad_ports(void)
{
    static const char *const PORTS[] = {
        "", "00", "01", "080", "00080", "65536", "65540", "66000", "70000", "99999", "100000",
        "655350", "0443", "4294967296", "18446744073709551616", "+1", "-1", "-0", "0x50", "1_0",
        "1.0", "a", ":", "8:", "/", "8/", "8\xC2\xB2", "443\t", "4 4",
    };
    for (size_t i = 0; i < 2 * (sizeof PORTS / sizeof *PORTS); i++) {
        char line[FPP_V1_MAX_SIZE] = "PROXY TCP4 0.0.0.0 0.0.0.0 ";
        const char *port = PORTS[i / 2];
        strcat(line, i % 2 == 0 ? port : "0");
        strcat(line, " ");
        strcat(line, i % 2 == 0 ? "0" : port);
        strcat(line, "\r\n");
        trying(line);
        verdict found = judge(guarded_at_end(output, line, strlen(line)), strlen(line));
        check(found.status > FPP_STATUS_INCOMPLETE, "status %d", found.status);
    }
}

static const fpp_header TCP4_LINE = {.version = 1,
                                     .command = FPP_COMMAND_PROXY,
                                     .family = FPP_FAMILY_INET,
                                     .transport = FPP_TRANSPORT_STREAM};
static const fpp_header TCP4 = {.version = 2,
                                .command = FPP_COMMAND_PROXY,
                                .family = FPP_FAMILY_INET,
                                .transport = FPP_TRANSPORT_STREAM};

static void refuse_header(fpp_header header, const char *what)
{
    order from = {.header = &header, .data = values.first};
    check_refused(&from, what);
}

static void test_refused_kinds(void)
{
    fpp_header header = TCP4_LINE;
    header.version = 0;
    refuse_header(header, "version 0");
    header.version = 3;
    refuse_header(header, "version 3");
    header = TCP4_LINE;
    header.command = FPP_COMMAND_LOCAL;
    refuse_header(header, "v1 LOCAL");
    header = TCP4_LINE;
    header.family = FPP_FAMILY_UNIX;
    refuse_header(header, "v1 UNIX");
    header = TCP4_LINE;
    header.transport = FPP_TRANSPORT_DGRAM;
    refuse_header(header, "v1 DGRAM");
    header.transport = FPP_TRANSPORT_UNSPEC;
    refuse_header(header, "v1 without transport");
    header = TCP4;
    header.command = FPP_COMMAND_PROXY + 1;
    refuse_header(header, "v2 command 2");
    header = TCP4;
    header.family = FPP_FAMILY_UNIX + 1;
    refuse_header(header, "v2 family 4");
    header = TCP4;
    header.transport = FPP_TRANSPORT_DGRAM + 1;
    refuse_header(header, "v2 transport 3");
    header = TCP4;
    header.family = FPP_FAMILY_UNIX;
    header.source_path.length = FPP_UNIX_PATH_SIZE + 1;
    refuse_header(header, "a source path of 109 bytes");
    header.source_path.length = 0;
    header.destination_path.length = FPP_UNIX_PATH_SIZE + 1;
    refuse_header(header, "a destination path of 109 bytes");
}

static void refuse_tlvs(const fpp_header *header, const fpp_tlv_in *tlvs, size_t count,
                        unsigned flags, const char *what)
{
    order from = {.header = header, .tlvs = tlvs, .count = count, .flags = flags};
    check_refused(&from, what);
}

static void test_refused_tlvs(void)
{
    const uint8_t *value = values.first;
    const fpp_tlv_in alpn = {FPP_TLV_ALPN, 2, value};
    const fpp_tlv_in unique_id = {FPP_TLV_UNIQUE_ID, FPP_UNIQUE_ID_MAX_SIZE + 1, value};
    const fpp_tlv_in twice[] = {{FPP_TLV_CRC32C, 4, value}, {FPP_TLV_CRC32C, 4, value}};
    refuse_tlvs(&TCP4_LINE, &alpn, 1, 0, "v1 with TLVs");
    refuse_tlvs(&TCP4_LINE, NULL, 0, FPP_BUILD_CHECKSUM, "v1 with a checksum");
    refuse_tlvs(&TCP4, &unique_id, 1, 0, "a UNIQUE_ID of 129 bytes");
    for (uint16_t length = 0; length < 8; length++) {
        const fpp_tlv_in checksum = {FPP_TLV_CRC32C, length, value};
        if (length != FPP_CRC32C_SIZE)
            refuse_tlvs(&TCP4, &checksum, 1, length & 1, "a checksum that is not 4 bytes");
    }
    refuse_tlvs(&TCP4, twice, 2, 0, "two checksums");
    refuse_tlvs(&TCP4, twice, 2, FPP_BUILD_CHECKSUM, "two checksums, filled");
}

/* The longest header of all, and one byte more in each way that adds one. */
static void test_limits(void)
{
    enum { ROOM = FPP_TLV_MAX_SIZE - FPP_INET_BLOCK_SIZE - FPP_TLV_HEAD_SIZE, CHECKSUM = 7 };
    static fpp_tlv_in many[FPP_TLV_MAX_SIZE / FPP_TLV_HEAD_SIZE + 1];
    fpp_tlv_in tlv = {FPP_TLV_NETNS, ROOM, guarded_at_end(values, values.first, ROOM)};
    order from = {.header = &TCP4, .tlvs = &tlv, .count = 1};
    trying("65551 bytes");
    try_order(&from);
    check(build(NULL, 0, &from) == FPP_MAX_SIZE, "not the longest");
    tlv.length -= CHECKSUM;
    from.flags = FPP_BUILD_CHECKSUM;
    try_order(&from);
    tlv.length++;
    check_refused(&from, "65552 bytes with the checksum");
    from.flags = 0;
    tlv.length = ROOM + 1;
    check_refused(&from, "65552 bytes");
    tlv.length = FPP_TLV_MAX_SIZE;
    check_refused(&from, "a TLV of 65535 bytes");
    from.count = (FPP_TLV_MAX_SIZE - FPP_INET_BLOCK_SIZE) / FPP_TLV_HEAD_SIZE;
    from.tlvs = many;
    trying("21841 empty TLVs");
    try_order(&from);
    from.count++;
    check_refused(&from, "21842 empty TLVs");
    fpp_header unspec = {.version = 2, .command = FPP_COMMAND_PROXY};
    from.header = &unspec;
    from.count = FPP_TLV_MAX_SIZE / FPP_TLV_HEAD_SIZE;
    trying("65535 bytes of TLVs, which leave no room for addresses");
    try_order(&from);
    from.count++;
    check_refused(&from, "65538 bytes of TLVs");
}

/* Without addresses, so that they cannot look like a chain, TLVs are read from 16 or not at all. */
static void test_local_with_addresses(void)
{
    fpp_header header = TCP4;
    header.command = FPP_COMMAND_LOCAL;
    memset(header.source, 0xFF, sizeof header.source);
    order from = {.header = &header};
    size_t size;
    trying("LOCAL with addresses");
    const uint8_t *out = build_exactly(&from, &size);
    verdict found = judge(out, size);
    check(found.status == FPP_STATUS_OK && found.header.family == FPP_FAMILY_UNSPEC &&
              found.header.transport == FPP_TRANSPORT_UNSPEC && found.header.tlvs.length == 0,
          "status %d", found.status);
}

void test_build(void)
{
    output = guarded_open(FPP_MAX_SIZE + 1);
    headers = guarded_open(sizeof(fpp_header));
    paths = guarded_open(2 * FPP_UNIX_PATH_SIZE);
    values = guarded_open(FPP_TLV_MAX_SIZE);
    lists = guarded_open(MOST_TLVS * sizeof(fpp_tlv_in));
    trying("random headers");
    test_round_trip(HEADERS, 400);
    trying("long random headers");
    test_round_trip(LONG_HEADERS, FPP_TLV_MAX_SIZE - FPP_UNIX_BLOCK_SIZE - 7 -
                                      MOST_TLVS * FPP_TLV_HEAD_SIZE);
    trying("ports");
    test_ports();
    test_bad_ports();
    test_refused_kinds();
    test_refused_tlvs();
    test_limits();
    test_local_with_addresses();
    guarded_close(output);
    guarded_close(headers);
    guarded_close(paths);
    guarded_close(values);
    guarded_close(lists);
}
