/* Which version the bytes start, and the parser of that version. */
#include "core.h"

static const uint8_t SIGNATURE_V1[FPP_SIGNATURE_V1_SIZE] = FPP_SIGNATURE_V1_BYTES;
static const uint8_t SIGNATURE_V2[FPP_SIGNATURE_V2_SIZE] = FPP_SIGNATURE_V2_BYTES;

/* Which header input starts. The signatures differ in their first byte, so at most one of them
 * can still come; each is compared at its full, constant length first, for that is the usual case
 * and costs two instructions. */
static int detect(fpp_view input)
{
    if (fpp_equal(input, 0, SIGNATURE_V2, FPP_SIGNATURE_V2_SIZE))
        return FPP_DETECTED_V2;
    if (fpp_equal(input, 0, SIGNATURE_V1, FPP_SIGNATURE_V1_SIZE))
        return FPP_DETECTED_V1;
    if (input.length == 0 || /* data may be NULL */
        (input.length < FPP_SIGNATURE_V2_SIZE &&
         fpp_equal(input, 0, SIGNATURE_V2, input.length)) ||
        (input.length < FPP_SIGNATURE_V1_SIZE && fpp_equal(input, 0, SIGNATURE_V1, input.length)))
        return FPP_DETECTED_UNDECIDED;
    return FPP_DETECTED_MISSING;
}

int fpp_detect(const uint8_t *data, size_t length)
{
    return detect(fpp_view_of(data, length));
}

int fpp_parse(const uint8_t *data, size_t length, uint32_t max_size, fpp_header *out,
              fpp_error *why)
{
    fpp_view input = fpp_view_of(data, length);
    switch (detect(input)) {
    case FPP_DETECTED_V2:
        return fpp_v2_parse(input, max_size, out, why);
    case FPP_DETECTED_V1:
        return fpp_v1_parse(input, out, why);
    case FPP_DETECTED_MISSING:
        return fpp_fault(why, FPP_STATUS_MISSING, 0);
    default: /* nothing yet, or the start of one signature */
        return fpp_incomplete(why, fpp_text(input, 0) == SIGNATURE_V2[0] ? FPP_V2_HEAD_SIZE
                                                                         : FPP_V1_MIN_SIZE);
    }
}
