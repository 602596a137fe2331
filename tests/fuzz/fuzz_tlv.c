/* Chains of TLVs, the header's and those inside SSL, in any bytes: what is handed out lies in them,
 * in order, without a gap. And their CRC32C, which both ways of computing it agree on. */
#include "harness.h"

/* What fpp_tlv_next said last: 0 where the chain is whole. */
static int walk(const uint8_t *data, fpp_span rest)
{
    uint32_t end = rest.offset + rest.length;
    uint32_t at = rest.offset;
    fpp_tlv tlv;
    int found;
    while ((found = fpp_tlv_next(data, &rest, &tlv)) > 0) {
        assert(tlv.value.offset == at + FPP_TLV_HEAD_SIZE);
        assert(is_inside(tlv.value, end));
        at = tlv.value.offset + tlv.value.length;
        assert(rest.offset == at && rest.length == end - at);
    }
    assert(found < 0 ? rest.length > 0 : at == end);
    return found;
}

static void walk_ssl(const uint8_t *data, fpp_span value)
{
    fpp_ssl ssl;
    if (fpp_ssl_open(data, value, &ssl)) {
        assert(ssl.tlvs.offset == value.offset + FPP_SSL_HEAD_SIZE);
        assert(ssl.tlvs.length == value.length - FPP_SSL_HEAD_SIZE);
        assert(walk(data, ssl.tlvs) == 0);
    } else {
        fpp_span inner = {value.offset + FPP_SSL_HEAD_SIZE, value.length - FPP_SSL_HEAD_SIZE};
        assert(value.length < FPP_SSL_HEAD_SIZE || walk(data, inner) < 0);
    }
}

/* The first byte says where the chain begins. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fpp_view header = fpp_view_of(data, size);
    fpp_error why = {0, 0};
    fpp_tlv tlv;
    if (size == 0)
        return 0;
    assert(fpp_crc32c(0, data, size) == fpp_crc32c_by_table(0, data, size));
    uint32_t from = 1 + data[0] % header.length;
    fpp_span chain = {from, header.length - from};
    int whole = walk(data, chain) == 0;
    assert(fpp_tlv_whole(header, from) == whole);
    int status = fpp_tlv_check(header, from, &why);
    assert(whole || status != FPP_STATUS_OK);
    assert(status == FPP_STATUS_OK || (why.offset >= from && why.offset < header.length));
    walk_ssl(data, chain);
    while (fpp_tlv_next(data, &chain, &tlv) > 0)
        walk_ssl(data, tlv.value); /* whatever its type: any bytes must be safe */
    return 0;
}
