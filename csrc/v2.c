/* The binary header (2.2). */
#include "core.h"

enum {
    COMMAND_OFFSET = FPP_SIGNATURE_V2_SIZE, /* with the version in the high four bits */
    FAMILY_OFFSET,                          /* with the transport in the low four bits */
    LENGTH_OFFSET,
    BLOCK_OFFSET = FPP_V2_HEAD_SIZE
};

typedef struct {
    uint8_t command, family, transport;
} kind;

/* The 13th and 14th byte, as far as they are there. */
static inline int read_kind(fpp_view input, kind *out, fpp_error *why)
{
    if (input.length <= COMMAND_OFFSET)
        return FPP_STATUS_OK;
    uint8_t byte = fpp_u8(input, COMMAND_OFFSET);
    if (byte >> 4 != 2) /* "the receiver must only accept this value" */
        return fpp_fault(why, FPP_STATUS_V2_VERSION, COMMAND_OFFSET);
    out->command = byte & 0x0F;
    if (out->command > FPP_COMMAND_PROXY) /* "must drop connections presenting unexpected values" */
        return fpp_fault(why, FPP_STATUS_V2_COMMAND, COMMAND_OFFSET);
    if (input.length <= FAMILY_OFFSET || out->command == FPP_COMMAND_LOCAL)
        return FPP_STATUS_OK; /* LOCAL: "discard the protocol block including the family" */
    byte = fpp_u8(input, FAMILY_OFFSET);
    uint8_t family = byte >> 4;
    uint8_t transport = byte & 0x0F;
    if (family > FPP_FAMILY_UNIX) /* "must be rejected as invalid by receivers" */
        return fpp_fault(why, FPP_STATUS_V2_FAMILY, FAMILY_OFFSET);
    if (transport > FPP_TRANSPORT_DGRAM)
        return fpp_fault(why, FPP_STATUS_V2_TRANSPORT, FAMILY_OFFSET);
    if (family == FPP_FAMILY_UNSPEC || transport == FPP_TRANSPORT_UNSPEC)
        return FPP_STATUS_OK; /* "the receiver should ignore address information" */
    out->family = family;
    out->transport = transport;
    return FPP_STATUS_OK;
}

/* A path ends at its first NUL; a leading NUL makes it abstract, and only the padding is cut. */
static fpp_span read_path(fpp_view header, uint32_t offset)
{
    fpp_span path = {offset, 0};
    if (fpp_u8(header, offset) != 0) {
        path.length = fpp_find(header, offset, offset + FPP_UNIX_PATH_SIZE, 0) - offset;
    } else {
        path.length = FPP_UNIX_PATH_SIZE;
        /*@ loop invariant path.length <= FPP_UNIX_PATH_SIZE;
            loop assigns path.length;
            loop variant path.length; */
        while (path.length > 0 && fpp_u8(header, offset + path.length - 1) == 0)
            path.length--;
    }
    return path;
}

static inline void read_inet(fpp_view header, uint32_t size, fpp_header *out)
{
    fpp_copy(out->source, header, BLOCK_OFFSET, size);
    fpp_copy(out->destination, header, BLOCK_OFFSET + size, size);
    out->source_port = fpp_u16(header, BLOCK_OFFSET + 2 * size);
    out->destination_port = fpp_u16(header, BLOCK_OFFSET + 2 * size + 2);
}

static int finish(fpp_view header, uint32_t from, fpp_header *out, fpp_error *why)
{
    out->tlvs.offset = from;
    out->tlvs.length = header.length - from;
    return from == header.length ? FPP_STATUS_OK : fpp_tlv_check(header, from, why);
}

/* Without addresses the block may hold anything: TLVs only if it is nothing but a chain (AWS
 * health checks), and never behind a half-specified kind such as 0x10. */
static int finish_without_addresses(fpp_view header, fpp_header *out, fpp_error *why)
{
    int ignored = out->command == FPP_COMMAND_PROXY && fpp_u8(header, FAMILY_OFFSET) != 0;
    int chain = !ignored && fpp_tlv_whole(header, BLOCK_OFFSET);
    return finish(header, chain ? BLOCK_OFFSET : header.length, out, why);
}

int fpp_v2_parse(fpp_view input, uint32_t max_size, fpp_header *out, fpp_error *why)
{
    kind found = {.family = FPP_FAMILY_UNSPEC, .transport = FPP_TRANSPORT_UNSPEC};
    int status = read_kind(input, &found, why);
    if (status != FPP_STATUS_OK)
        return status;
    if (input.length < FPP_V2_HEAD_SIZE)
        return fpp_incomplete(why, FPP_V2_HEAD_SIZE);
    uint32_t size = FPP_V2_HEAD_SIZE + fpp_u16(input, LENGTH_OFFSET);
    if (size < BLOCK_OFFSET + fpp_block_size(found.family))
        return fpp_fault(why, FPP_STATUS_V2_LENGTH, LENGTH_OFFSET);
    if (size > max_size)
        return fpp_fault(why, FPP_STATUS_V2_TOO_LARGE, LENGTH_OFFSET);
    if (size > input.length)
        return fpp_incomplete(why, size);

    fpp_view header = {input.data, size};
    *out = (fpp_header){.size = size,
                        .version = 2,
                        .command = found.command,
                        .family = found.family,
                        .transport = found.transport};
    if (found.family == FPP_FAMILY_INET) {
        read_inet(header, FPP_IPV4_SIZE, out);
    } else if (found.family == FPP_FAMILY_INET6) {
        read_inet(header, FPP_IPV6_SIZE, out);
    } else if (found.family == FPP_FAMILY_UNIX) {
        out->source_path = read_path(header, BLOCK_OFFSET);
        out->destination_path = read_path(header, BLOCK_OFFSET + FPP_UNIX_PATH_SIZE);
    } else {
        return finish_without_addresses(header, out, why);
    }
    return finish(header, BLOCK_OFFSET + fpp_block_size(found.family), out, why);
}
