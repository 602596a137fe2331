/* Which version the bytes start, and the parser of that version. */
#include "core.h"

static const uint8_t SIGNATURE_V1[FPP_SIGNATURE_V1_SIZE] = FPP_SIGNATURE_V1_BYTES;
static const uint8_t SIGNATURE_V2[FPP_SIGNATURE_V2_SIZE] = FPP_SIGNATURE_V2_BYTES;

/* Both are compared at their full, constant length, which costs two instructions each. */
static inline int starts_v1(fpp_view input)
{
    return fpp_equal(input, 0, SIGNATURE_V1, FPP_SIGNATURE_V1_SIZE);
}

static inline int starts_v2(fpp_view input)
{
    return fpp_equal(input, 0, SIGNATURE_V2, FPP_SIGNATURE_V2_SIZE);
}

/* Neither signature is whole: whether input is the beginning of one. They differ in their first
 * byte, so at most one of them can still come. */
static int may_start(fpp_view input)
{
    return input.length == 0 || /* data may be NULL */
           (input.length < FPP_SIGNATURE_V2_SIZE &&
            fpp_equal(input, 0, SIGNATURE_V2, input.length)) ||
           (input.length < FPP_SIGNATURE_V1_SIZE &&
            fpp_equal(input, 0, SIGNATURE_V1, input.length));
}

int fpp_detect(const uint8_t *data, size_t length)
{
    fpp_view input = fpp_view_of(data, length);
    if (starts_v2(input))
        return FPP_DETECTED_V2;
    if (starts_v1(input))
        return FPP_DETECTED_V1;
    return may_start(input) ? FPP_DETECTED_UNDECIDED : FPP_DETECTED_MISSING;
}

FPP_RARE static int no_signature(fpp_view input, fpp_error *why)
{
    if (!may_start(input))
        return fpp_fault(why, FPP_STATUS_MISSING, 0);
    return fpp_incomplete(why, fpp_text(input, 0) == SIGNATURE_V2[0] ? FPP_V2_HEAD_SIZE
                                                                     : FPP_V1_MIN_SIZE);
}

int fpp_parse(const uint8_t *data, size_t length, uint32_t max_size, fpp_header *out,
              fpp_error *why)
{
    fpp_view input = fpp_view_of(data, length);
    if (starts_v2(input))
        return fpp_v2_parse(input, max_size, out, why);
    if (starts_v1(input))
        return fpp_v1_parse(input, out, why);
    return no_signature(input, why);
}
