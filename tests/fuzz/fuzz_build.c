/* fpp_build on any order: it writes just what it says, and fpp_parse reads back what was ordered.
 * And the other way round: a header that was parsed is built again, byte by byte. */
#include "harness.h"

enum { MOST_TLVS = 8, MARK = 0xA5 };

typedef struct {
    fpp_header header;
    uint8_t *paths; /* memory of the order's own, like each value */
    fpp_tlv_in tlvs[MOST_TLVS];
    size_t count;
    unsigned flags;
} order;

static uint8_t *taken(source *from, size_t size)
{
    uint8_t *bytes = exactly(size);
    take(from, bytes, size);
    return bytes;
}

/* Small numbers are likely, so that most orders are good ones. */
static void take_order(source *from, order *out)
{
    fpp_header *header = &out->header;
    uint8_t kind = take8(from);
    memset(header, MARK, sizeof *header); /* size and tlvs are not read */
    header->version = kind & 0x40 ? 1 : kind & 0x80 ? take8(from) : 2;
    header->command = kind & 3;
    header->family = kind >> 2 & 7;
    header->transport = kind & 0x20 ? take8(from) : FPP_TRANSPORT_STREAM;
    header->source_port = take16(from);
    header->destination_port = take16(from);
    take(from, header->source, sizeof header->source);
    take(from, header->destination, sizeof header->destination);
    header->source_path.offset = 0;
    header->source_path.length = take8(from) % (FPP_UNIX_PATH_SIZE + 2);
    header->destination_path.offset = header->source_path.length;
    header->destination_path.length = take8(from) % (FPP_UNIX_PATH_SIZE + 2);
    out->flags = take8(from) & FPP_BUILD_CHECKSUM;
    out->count = take8(from) % (MOST_TLVS + 1);
    for (size_t i = 0; i < out->count; i++) {
        out->tlvs[i].type = take8(from);
        out->tlvs[i].length = take8(from);
        if (out->tlvs[i].length == UINT8_MAX)
            out->tlvs[i].length = take16(from);
        out->tlvs[i].value = taken(from, out->tlvs[i].length);
    }
    out->paths = taken(from, header->source_path.length + header->destination_path.length);
}

static void free_order(const order *from)
{
    free(from->paths);
    for (size_t i = 0; i < from->count; i++)
        free((void *)from->tlvs[i].value);
}

static size_t build(uint8_t *out, size_t capacity, const order *from)
{
    return fpp_build(out, capacity, &from->header, from->paths, from->tlvs, from->count,
                     from->flags);
}

/* What would not fit is not written. */
static void check_too_small(const order *from, size_t size)
{
    uint8_t *out = exactly(size);
    memset(out, MARK, size);
    assert(build(out, size - 1, from) == size);
    assert(out[0] == MARK && memcmp(out, out + 1, size - 1) == 0);
    free(out);
}

/* As it is read: up to the first NUL, behind a leading one without NULs at the end. */
static uint32_t path_length(const uint8_t *path, uint32_t length)
{
    if (length > 0 && path[0] != 0) {
        const uint8_t *nul = memchr(path, 0, length);
        return nul == NULL ? length : (uint32_t)(nul - path);
    }
    while (length > 0 && path[length - 1] == 0)
        length--;
    return length;
}

static int same_path(const uint8_t *out, fpp_span found, const order *from, fpp_span ordered)
{
    const uint8_t *path = from->paths + ordered.offset;
    uint32_t length = path_length(path, ordered.length);
    return found.length == length &&
           (length == 0 || memcmp(out + found.offset, path, length) == 0);
}

static int same_ends(const uint8_t *out, const fpp_header *found, const order *from)
{
    const fpp_header *ordered = &from->header;
    if (ordered->family == FPP_FAMILY_UNIX)
        return same_path(out, found->source_path, from, ordered->source_path) &&
               same_path(out, found->destination_path, from, ordered->destination_path);
    size_t size = ordered->family == FPP_FAMILY_INET ? FPP_IPV4_SIZE : FPP_IPV6_SIZE;
    return found->source_port == ordered->source_port &&
           found->destination_port == ordered->destination_port &&
           memcmp(found->source, ordered->source, size) == 0 &&
           memcmp(found->destination, ordered->destination, size) == 0;
}

/* In order, with one checksum in front if none was brought and one was asked for. */
static void check_tlvs(const uint8_t *out, fpp_span rest, const order *from)
{
    fpp_tlv tlv;
    int checksum = 0;
    for (size_t i = 0; i < from->count; i++)
        checksum |= from->tlvs[i].type == FPP_TLV_CRC32C;
    if (from->flags != 0 && !checksum)
        assert(fpp_tlv_next(out, &rest, &tlv) == 1 && tlv.type == FPP_TLV_CRC32C);
    for (size_t i = 0; i < from->count; i++) {
        const fpp_tlv_in *ordered = &from->tlvs[i];
        assert(fpp_tlv_next(out, &rest, &tlv) == 1 && tlv.type == ordered->type);
        assert(tlv.value.length == ordered->length);
        if (ordered->length > 0 && !(from->flags != 0 && tlv.type == FPP_TLV_CRC32C))
            assert(memcmp(out + tlv.value.offset, ordered->value, ordered->length) == 0);
    }
    assert(fpp_tlv_next(out, &rest, &tlv) == 0);
}

/* The block of LOCAL is read as TLVs if it is a whole chain, which addresses can look like. */
static int may_look_like_tlvs(const fpp_header *ordered)
{
    return ordered->command == FPP_COMMAND_LOCAL && ordered->family != FPP_FAMILY_UNSPEC;
}

static void check_parsed(const uint8_t *out, size_t size, const order *from)
{
    const fpp_header *ordered = &from->header;
    fpp_header found;
    fpp_error why;
    int status = fpp_parse(out, size, FPP_MAX_SIZE, &found, &why);
    if (status != FPP_STATUS_OK && may_look_like_tlvs(ordered))
        return;
    if (status == FPP_STATUS_CHECKSUM_WRONG) { /* one was brought, and is not to be filled */
        assert(from->flags == 0);
        return;
    }
    assert(status == FPP_STATUS_OK && found.size == size);
    assert(found.version == ordered->version && found.command == ordered->command);
    if (ordered->command == FPP_COMMAND_LOCAL || ordered->family == FPP_FAMILY_UNSPEC ||
        ordered->transport == FPP_TRANSPORT_UNSPEC) {
        assert(found.family == FPP_FAMILY_UNSPEC && found.transport == FPP_TRANSPORT_UNSPEC);
        return;
    }
    assert(found.family == ordered->family && found.transport == ordered->transport);
    assert(same_ends(out, &found, from));
    check_tlvs(out, found.tlvs, from);
}

static void try_order(const order *from)
{
    size_t size = build(NULL, 0, from);
    if (size == 0)
        return;
    assert(size <= FPP_MAX_SIZE);
    uint8_t *out = exactly(size);
    assert(build(out, size, from) == size);
    check_parsed(out, size, from);
    check_too_small(from, size);
    free(out);
}

/* Only the padding of paths is lost. Every header with addresses can be built; of v1 it is the
 * line in RFC 5952 text, which parses as the same ends. */
static void try_again(const uint8_t *data, size_t size)
{
    static fpp_tlv_in tlvs[FPP_TLV_MAX_SIZE / FPP_TLV_HEAD_SIZE];
    fpp_header header, again;
    fpp_error why;
    fpp_tlv tlv;
    size_t count = 0;
    if (fpp_parse(data, size, FPP_MAX_SIZE, &header, &why) != FPP_STATUS_OK ||
        header.family == FPP_FAMILY_UNSPEC)
        return;
    for (fpp_span rest = header.tlvs; fpp_tlv_next(data, &rest, &tlv) > 0; count++)
        tlvs[count] = (fpp_tlv_in){tlv.type, (uint16_t)tlv.value.length, data + tlv.value.offset};
    size_t built = fpp_build(NULL, 0, &header, data, tlvs, count, 0);
    assert(built > 0 && (header.version == 1 || built == header.size));
    uint8_t *out = exactly(built);
    assert(fpp_build(out, built, &header, data, tlvs, count, 0) == built);
    if (header.version == 2 && header.family != FPP_FAMILY_UNIX)
        assert(memcmp(out + 13, data + 13, built - 13) == 0);
    assert(fpp_parse(out, built, FPP_MAX_SIZE, &again, &why) == FPP_STATUS_OK ||
           header.family == FPP_FAMILY_UNIX); /* whose checksum was over the padding, too */
    if (header.version == 1) {
        header.size = again.size;
        header.tlvs = again.tlvs;
    }
    if (header.family != FPP_FAMILY_UNIX)
        assert(same_header(&header, &again));
    free(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    order from;
    source left = {data, size};
    take_order(&left, &from);
    try_order(&from);
    free_order(&from);
    try_again(data, size);
    return 0;
}
