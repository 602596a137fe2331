/* Type-length-value chains: a header's own, and those inside SSL (2.2 to 2.2.6). */
#include "core.h"

int fpp_tlv_next(const uint8_t *data, fpp_span *rest, fpp_tlv *out)
{
    fpp_view chain = {data, rest->offset + rest->length};
    if (rest->length == 0)
        return 0;
    if (rest->length < FPP_TLV_HEAD_SIZE)
        return -1;
    uint32_t value = rest->offset + FPP_TLV_HEAD_SIZE;
    uint32_t room = rest->length - FPP_TLV_HEAD_SIZE;
    uint32_t length = fpp_u16(chain, rest->offset + 1);
    if (length > room)
        return -1;
    out->type = fpp_u8(chain, rest->offset);
    out->value = (fpp_span){value, length};
    *rest = (fpp_span){value + length, room - length};
    return 1;
}

static int chain_is_whole(const uint8_t *data, fpp_span rest)
{
    fpp_tlv tlv;
    int found;
    /*@ loop invariant rest.offset + rest.length == \at(rest.offset + rest.length, Pre);
        loop invariant rest.length <= \at(rest.length, Pre);
        loop assigns found, rest, tlv;
        loop variant rest.length; */
    do
        found = fpp_tlv_next(data, &rest, &tlv);
    while (found > 0);
    return found == 0;
}

int fpp_tlv_whole(fpp_view header, uint32_t from)
{
    return chain_is_whole(header.data, (fpp_span){from, header.length - from});
}

/* "Replace the 32 bits of the checksum field in the received PROXY header with all '0's and
 * calculate a CRC32c checksum value of the whole PROXY header" (2.2.3), without copying it. The
 * number is big endian, as HAProxy, nginx and AWS send it. */
static int checksum_matches(fpp_view header, uint32_t value)
{
    static const uint8_t zeros[FPP_CRC32C_SIZE];
    uint32_t behind = value + FPP_CRC32C_SIZE;
    uint32_t crc = fpp_crc32c(0, fpp_at(header, 0, value), value);
    crc = fpp_crc32c(crc, zeros, sizeof zeros);
    crc = fpp_crc32c(crc, fpp_at(header, behind, header.length - behind), header.length - behind);
    return crc == fpp_u32(header, value);
}

/* What a single TLV may be; *checksum is the offset of the checksum's value, 0 before it came. */
static int check_tlv(const fpp_tlv *tlv, uint32_t *checksum, fpp_error *why)
{
    uint32_t type_offset = tlv->value.offset - FPP_TLV_HEAD_SIZE;
    if (tlv->type == FPP_TLV_UNIQUE_ID && tlv->value.length > FPP_UNIQUE_ID_MAX_SIZE)
        return fpp_fault(why, FPP_STATUS_UNIQUE_ID_SIZE, type_offset + 1);
    if (tlv->type != FPP_TLV_CRC32C)
        return FPP_STATUS_OK;
    if (*checksum != 0)
        return fpp_fault(why, FPP_STATUS_CHECKSUM_REPEATED, type_offset);
    if (tlv->value.length != FPP_CRC32C_SIZE)
        return fpp_fault(why, FPP_STATUS_CHECKSUM_SIZE, type_offset + 1);
    *checksum = tlv->value.offset;
    return FPP_STATUS_OK;
}

int fpp_tlv_check(fpp_view header, uint32_t from, fpp_error *why)
{
    fpp_span rest = {from, header.length - from};
    uint32_t checksum = 0;
    fpp_tlv tlv;
    int found;
    /*@ loop invariant rest.offset + rest.length == header.length;
        loop invariant checksum == 0 || checksum + FPP_CRC32C_SIZE <= rest.offset;
        loop assigns found, rest, tlv, checksum, *why;
        loop variant rest.length; */
    while ((found = fpp_tlv_next(header.data, &rest, &tlv)) > 0) {
        int status = check_tlv(&tlv, &checksum, why);
        if (status != FPP_STATUS_OK)
            return status;
    }
    if (found < 0 && rest.length < FPP_TLV_HEAD_SIZE)
        return fpp_fault(why, FPP_STATUS_TLV_TRUNCATED, rest.offset);
    if (found < 0)
        return fpp_fault(why, FPP_STATUS_TLV_OVERRUN, rest.offset + 1);
    if (checksum != 0 && !checksum_matches(header, checksum))
        return fpp_fault(why, FPP_STATUS_CHECKSUM_WRONG, checksum);
    return FPP_STATUS_OK;
}

int fpp_ssl_open(const uint8_t *data, fpp_span value, fpp_ssl *out)
{
    fpp_view view = {data, value.offset + value.length};
    if (value.length < FPP_SSL_HEAD_SIZE)
        return 0;
    out->client = fpp_u8(view, value.offset);
    out->verify = fpp_u32(view, value.offset + 1);
    out->tlvs = (fpp_span){value.offset + FPP_SSL_HEAD_SIZE, value.length - FPP_SSL_HEAD_SIZE};
    return chain_is_whole(data, out->tlvs);
}
