/* The binary header (2.2). */
#include "core.h"

enum {
    COMMAND_OFFSET = FPP_SIGNATURE_V2_SIZE, /* with the version in the high four bits */
    FAMILY_OFFSET,                          /* with the transport in the low four bits */
    LENGTH_OFFSET,
    BLOCK_OFFSET = FPP_V2_HEAD_SIZE
};

/* The 13th and 14th byte, as far as they are there. */
static int check_kind(fpp_view input, fpp_header *out, fpp_error *why)
{
    if (input.length <= COMMAND_OFFSET)
        return FPP_STATUS_OK;
    out->version = fpp_u8(input, COMMAND_OFFSET) >> 4;
    out->command = fpp_u8(input, COMMAND_OFFSET) & 0x0F;
    if (out->version != 2) /* "the receiver must only accept this value" */
        return fpp_fault(why, FPP_STATUS_V2_VERSION, COMMAND_OFFSET);
    if (out->command > FPP_COMMAND_PROXY) /* "must drop connections presenting unexpected values" */
        return fpp_fault(why, FPP_STATUS_V2_COMMAND, COMMAND_OFFSET);
    if (input.length <= FAMILY_OFFSET || out->command == FPP_COMMAND_LOCAL)
        return FPP_STATUS_OK; /* LOCAL: "discard the protocol block including the family" */
    out->family = fpp_u8(input, FAMILY_OFFSET) >> 4;
    out->transport = fpp_u8(input, FAMILY_OFFSET) & 0x0F;
    if (out->family > FPP_FAMILY_UNIX) /* "must be rejected as invalid by receivers" */
        return fpp_fault(why, FPP_STATUS_V2_FAMILY, FAMILY_OFFSET);
    if (out->transport > FPP_TRANSPORT_DGRAM)
        return fpp_fault(why, FPP_STATUS_V2_TRANSPORT, FAMILY_OFFSET);
    if (out->family == FPP_FAMILY_UNSPEC || out->transport == FPP_TRANSPORT_UNSPEC)
        out->family = out->transport = 0; /* "the receiver should ignore address information" */
    return FPP_STATUS_OK;
}

/* A path ends at its first NUL; a leading NUL makes it abstract, and only the padding is cut. */
static fpp_span read_path(fpp_view header, uint32_t offset)
{
    fpp_span path = {offset, 0};
    if (fpp_u8(header, offset) != 0) {
        while (path.length < FPP_UNIX_PATH_SIZE && fpp_u8(header, offset + path.length) != 0)
            path.length++;
    } else {
        path.length = FPP_UNIX_PATH_SIZE;
        while (path.length > 0 && fpp_u8(header, offset + path.length - 1) == 0)
            path.length--;
    }
    return path;
}

static void read_addresses(fpp_view header, fpp_header *out)
{
    uint32_t size = out->family == FPP_FAMILY_INET ? FPP_IPV4_SIZE : FPP_IPV6_SIZE;
    if (out->family == FPP_FAMILY_UNIX) {
        out->source_path = read_path(header, BLOCK_OFFSET);
        out->destination_path = read_path(header, BLOCK_OFFSET + FPP_UNIX_PATH_SIZE);
        return;
    }
    fpp_copy(out->source, header, BLOCK_OFFSET, size);
    fpp_copy(out->destination, header, BLOCK_OFFSET + size, size);
    out->source_port = fpp_u16(header, BLOCK_OFFSET + 2 * size);
    out->destination_port = fpp_u16(header, BLOCK_OFFSET + 2 * size + 2);
}

int fpp_v2_parse(fpp_view input, uint32_t max_size, fpp_header *out, fpp_error *why)
{
    *out = (fpp_header){0};
    int status = check_kind(input, out, why);
    if (status != FPP_STATUS_OK)
        return status;
    if (input.length < FPP_V2_HEAD_SIZE)
        return fpp_incomplete(why, FPP_V2_HEAD_SIZE);
    uint32_t block = fpp_block_size(out->family);
    out->size = FPP_V2_HEAD_SIZE + fpp_u16(input, LENGTH_OFFSET);
    if (out->size < BLOCK_OFFSET + block)
        return fpp_fault(why, FPP_STATUS_V2_LENGTH, LENGTH_OFFSET);
    if (out->size > max_size)
        return fpp_fault(why, FPP_STATUS_V2_TOO_LARGE, LENGTH_OFFSET);
    if (out->size > input.length)
        return fpp_incomplete(why, out->size);

    fpp_view header = {input.data, out->size};
    uint32_t from = BLOCK_OFFSET + block;
    if (block > 0)
        read_addresses(header, out);
    /* Without addresses the block may hold anything: TLVs only if it is nothing but a chain (AWS
     * health checks), and never behind a half-specified kind such as 0x10. */
    else if ((out->command == FPP_COMMAND_PROXY && fpp_u8(header, FAMILY_OFFSET) != 0) ||
             !fpp_tlv_whole(header, from))
        from = out->size;
    out->tlvs = (fpp_span){from, out->size - from};
    return from < out->size ? fpp_tlv_check(header, from, why) : FPP_STATUS_OK;
}
