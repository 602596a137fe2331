/* fpp_parse and fpp_detect on any bytes, and the relations that hold between their verdicts. */
#include "harness.h"

typedef struct {
    int status;
    fpp_header header; /* after OK */
    fpp_error why;     /* after anything else */
} verdict;

static verdict judge(const uint8_t *data, size_t size, uint32_t max_size)
{
    verdict found;
    found.status = fpp_parse(data, size, max_size, &found.header, &found.why);
    return found;
}

static int same_verdict(const verdict *left, const verdict *right)
{
    if (left->status != right->status)
        return 0;
    if (left->status == FPP_STATUS_OK)
        return same_header(&left->header, &right->header);
    return left->why.offset == right->why.offset && left->why.needed == right->why.needed;
}

/* What is read out of a good header is in it. */
static void check_header(const uint8_t *data, const fpp_header *header)
{
    char text[FPP_ADDRESS_TEXT_SIZE];
    fpp_span rest = header->tlvs;
    fpp_tlv tlv;
    int found;
    assert(is_inside(header->source_path, header->size));
    assert(is_inside(header->destination_path, header->size));
    while ((found = fpp_tlv_next(data, &rest, &tlv)) > 0)
        assert(is_inside(tlv.value, header->size));
    assert(found == 0 && rest.offset == header->size);
    assert(fpp_format_address(text, header->family, header->source) < sizeof text);
    assert(fpp_format_address(text, header->family, header->destination) < sizeof text);
}

/* The header alone is the same header, one byte less is incomplete, and less than its size is
 * known to be too little. */
static void check_size(const uint8_t *data, const verdict *good)
{
    uint32_t size = good->header.size;
    uint8_t *alone = exactly(size);
    uint8_t *shorter = exactly(size - 1);
    memcpy(alone, data, size);
    memcpy(shorter, data, size - 1);
    uint32_t max_size = good->header.version == 2 ? size : FPP_V2_HEAD_SIZE;
    verdict found = judge(alone, size, max_size);
    assert(same_verdict(good, &found));
    found = judge(shorter, size - 1, FPP_MAX_SIZE);
    assert(found.status == FPP_STATUS_INCOMPLETE);
    assert(found.why.needed == size || (good->header.version == 1 && found.why.needed < size + 1));
    if (max_size > FPP_V2_HEAD_SIZE) {
        found = judge(alone, size, max_size - 1);
        assert(found.status == FPP_STATUS_V2_TOO_LARGE && found.why.offset == 14);
    }
    free(alone);
    free(shorter);
}

/* No more bytes change a verdict that is final, and none make good what is less than needed. */
static void check_bytes_behind(const uint8_t *data, size_t size, const verdict *before)
{
    static const uint8_t TAIL[] = "\r\n\0\r\nQUIT\n\x21\x11";
    uint8_t *longer = exactly(size + sizeof TAIL);
    if (size > 0)
        memcpy(longer, data, size);
    memcpy(longer + size, TAIL, sizeof TAIL);
    verdict found = judge(longer, size + sizeof TAIL, FPP_MAX_SIZE);
    if (before->status != FPP_STATUS_INCOMPLETE)
        assert(same_verdict(before, &found));
    else if (found.status == FPP_STATUS_OK)
        assert(found.header.size >= before->why.needed);
    free(longer);
}

static void check_detected(const uint8_t *data, size_t size, int status)
{
    int detected = fpp_detect(data, size);
    assert((detected == FPP_DETECTED_MISSING) == (status == FPP_STATUS_MISSING));
    if (detected == FPP_DETECTED_UNDECIDED)
        assert(status == FPP_STATUS_INCOMPLETE && size < FPP_SIGNATURE_V2_SIZE);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    verdict found = judge(data, size, FPP_MAX_SIZE);
    check_detected(data, size, found.status);
    check_bytes_behind(data, size, &found);
    if (found.status == FPP_STATUS_OK) {
        assert(found.header.size <= size);
        check_header(data, &found.header);
        check_size(data, &found);
    } else if (found.status == FPP_STATUS_INCOMPLETE) {
        assert(found.why.needed > size && found.why.needed <= FPP_MAX_SIZE);
    } else {
        assert(found.why.offset < size && found.why.needed == 0);
    }
    return 0;
}
