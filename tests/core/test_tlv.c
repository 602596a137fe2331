/* Chains of any bytes: fpp_tlv_next and fpp_ssl_open against a reading of their own. */
#include "core_test.h"

enum { CHAINS = 100000, LONGEST = 60 };

static guarded region;

/* Where the chain breaks, or size where it does not. */
static size_t whole_until(const uint8_t *bytes, size_t size, unsigned *count)
{
    size_t at = 0;
    *count = 0;
    while (size - at >= 3 && size - at - 3 >= (size_t)bytes[at + 1] * 256 + bytes[at + 2]) {
        at += 3 + (size_t)bytes[at + 1] * 256 + bytes[at + 2];
        ++*count;
    }
    return at;
}

/* Mostly short lengths, or hardly a chain would have a second TLV. */
static void random_chain(uint8_t *bytes, size_t size)
{
    random_bytes(bytes, size);
    for (size_t at = 0; at + 3 <= size && random_below(20) > 0;) {
        uint32_t left = (uint32_t)(size - at - 3);
        uint32_t length = random_below(3) == 0 ? left : random_below(left + 1);
        bytes[at + 1] = 0;
        bytes[at + 2] = (uint8_t)length;
        at += 3 + length;
    }
}

static void check_chain(const uint8_t *data, uint32_t size, uint32_t offset)
{
    unsigned count;
    size_t whole = whole_until(data + offset, size - offset, &count);
    fpp_span rest = {offset, size - offset};
    fpp_tlv tlv = {0, {0, 0}};
    for (unsigned i = 0; i < count; i++) {
        uint32_t at = rest.offset;
        check(fpp_tlv_next(data, &rest, &tlv) == 1, "TLV %u of %u is missing", i, count);
        check(tlv.type == data[at] && tlv.value.offset == at + 3 &&
                  tlv.value.length == data[at + 1] * 256u + data[at + 2] &&
                  rest.offset == tlv.value.offset + tlv.value.length &&
                  rest.offset + rest.length == size,
              "TLV %u of %u is not what it is", i, count);
    }
    fpp_span kept = rest;
    int expected = whole == size - offset ? 0 : -1;
    check(fpp_tlv_next(data, &rest, &tlv) == expected, "behind TLV %u not %d", count, expected);
    check(kept.offset == rest.offset && kept.length == rest.length,
          "the rest changed though nothing was taken");
}

static void check_ssl(const uint8_t *data, uint32_t size, uint32_t offset)
{
    fpp_ssl ssl;
    unsigned count;
    fpp_span value = {offset, size - offset};
    int opened = fpp_ssl_open(data, value, &ssl);
    if (value.length < FPP_SSL_HEAD_SIZE) {
        check(!opened, "an SSL value of %u bytes is opened", value.length);
        return;
    }
    size_t chain = value.length - FPP_SSL_HEAD_SIZE;
    const uint8_t *at = data + offset;
    check(opened == (whole_until(at + FPP_SSL_HEAD_SIZE, chain, &count) == chain), "opened: %d",
          opened);
    if (opened)
        check(ssl.client == at[0] && ssl.verify >> 24 == at[1] && (ssl.verify & 0xFF) == at[4] &&
                  (ssl.verify >> 8 & 0xFFFF) == at[2] * 256u + at[3] &&
                  ssl.tlvs.offset == offset + FPP_SSL_HEAD_SIZE && ssl.tlvs.length == chain,
              "the head of SSL");
}

void test_tlv(void)
{
    region = guarded_open(LONGEST);
    trying("random chains");
    for (uint32_t i = 0; i < CHAINS; i++) {
        uint8_t bytes[LONGEST];
        uint32_t size = random_below(LONGEST + 1);
        uint32_t offset = random_below(3) == 0 ? 0 : random_below(size + 1);
        random_bytes(bytes, offset);
        uint32_t head = i % 2 == 0 || size - offset < FPP_SSL_HEAD_SIZE ? 0 : FPP_SSL_HEAD_SIZE;
        random_bytes(bytes + offset, head);
        random_chain(bytes + offset + head, size - offset - head);
        const uint8_t *data = guarded_at_end(region, bytes, size);
        check_chain(data, size, offset);
        check_ssl(data, size, offset);
    }
    guarded_close(region);
}
