/* fastppv2: PROXY protocol v1 and v2 headers, parsed where they lie and built.
 *
 * No allocation, no global state, no I/O; every function may run on any thread at any time.
 * Input is untrusted: nothing is read outside [data, data + length), whatever it holds.
 * Constants, statuses and TLV types are in spec.h. Spans are offsets into the parsed buffer.
 */
#ifndef FASTPPV2_H
#define FASTPPV2_H

#include <stddef.h>
#include <stdint.h>

#include "spec.h"

/* Raised by one when code written against the previous value would no longer compile or work. */
#define FPP_API_VERSION 1

/* Declarations, up to the next directive; cffi reads them as they stand. */

typedef struct {
    uint32_t offset, length;
} fpp_span;

typedef struct {
    uint32_t size;                        /* of the whole header, 15..65551; the payload follows */
    uint8_t version;                      /* 1 or 2 */
    uint8_t command, family, transport;   /* UNSPEC where the header carries no addresses */
    uint16_t source_port, destination_port;
    uint8_t source[FPP_IPV6_SIZE];        /* network order; INET fills the first 4 bytes */
    uint8_t destination[FPP_IPV6_SIZE];
    fpp_span source_path, destination_path;  /* UNIX; cut at the NUL, which leads abstract names */
    fpp_span tlvs;                        /* a whole chain, possibly empty */
} fpp_header;

typedef struct {
    uint32_t offset;                      /* of the first byte (in v1: field) at fault */
    uint32_t needed;                      /* INCOMPLETE: least length that can change the verdict */
} fpp_error;

typedef struct {
    uint8_t type;
    fpp_span value;
} fpp_tlv;

typedef struct {
    uint8_t client;                       /* FPP_SSL_CLIENT_* bits (2.2.6) */
    uint32_t verify;                      /* 0: a certificate, if there was one, was verified */
    fpp_span tlvs;
} fpp_ssl;

typedef struct {
    uint8_t type;
    uint16_t length;
    const uint8_t *value;
} fpp_tlv_in;

typedef struct {
    uint8_t address[FPP_IPV6_SIZE];       /* network order; INET fills the first 4 bytes */
    uint8_t family, prefix;               /* INET with 0..32 bits, INET6 with 0..128 */
} fpp_network;

typedef struct {
    const fpp_network *networks;          /* in order, IPv4 first, none inside another */
    const uint32_t *starts, *ends;        /* of the IPv4 ones, as numbers */
    size_t count, inet;                   /* how many there are, and how many of them are IPv4 */
} fpp_networks;

enum { FPP_NETWORKS_ROOM = 33 };          /* numbers beyond two for each network */

enum { FPP_BUILD_CHECKSUM = 1 };          /* fill the CRC32C TLV; put one first if there is none */

/* FPP_DETECTED_*: which header the bytes start, if they can start one at all. */
int fpp_detect(const uint8_t *data, size_t length);

/* Parses the header at the start of data and validates all of it, checksum included: after
 * FPP_STATUS_OK nothing that is read out of *out can fail. Any other FPP_STATUS_* leaves *out
 * unspecified and tells *why. max_size (16..65551) bounds v2; a v1 line never exceeds 107 bytes. */
int fpp_parse(const uint8_t *data, size_t length, uint32_t max_size, fpp_header *out,
              fpp_error *why);

/* Takes the next TLV off *rest: 1 and *out, 0 at the end, -1 where the chain is broken (never in
 * the tlvs of a parsed header). NOOP is handed out like any other. Serves SSL's sub-TLVs too. */
int fpp_tlv_next(const uint8_t *data, fpp_span *rest, fpp_tlv *out);

/* Opens the value of an SSL TLV (2.2.6): 1, or 0 where it is short or its chain is broken. */
int fpp_ssl_open(const uint8_t *data, fpp_span value, fpp_ssl *out);

/* Writes a header of header->version and returns its size, or 0 for what that version cannot
 * carry (v1: LOCAL, UNIX, DGRAM, TLVs; v2: more than 65535 bytes, a UNIQUE_ID above 128, a
 * checksum TLV that is not 4 bytes or comes twice). Paths are spans into data, which may be NULL
 * without them. Where size > capacity nothing is written: call again with that much room.
 * header->size and header->tlvs are not read. */
size_t fpp_build(uint8_t *out, size_t capacity, const fpp_header *header, const uint8_t *data,
                 const fpp_tlv_in *tlvs, size_t count, unsigned flags);

/* CRC32C (RFC 4960 appendix B), continued from crc (0 to begin); the second says how it is done:
 * "sse4.2", "armv8" or "table". */
uint32_t fpp_crc32c(uint32_t crc, const uint8_t *data, size_t length);
const char *fpp_crc32c_kind(void);

/* RFC 5952 text of an INET or INET6 address, NUL-terminated; returns its length. */
size_t fpp_format_address(char out[FPP_ADDRESS_TEXT_SIZE], int family, const uint8_t *address);

/* The reverse: 1 if the whole text is a canonical dotted quad (INET) or RFC 4291 text without a
 * zone (INET6), else 0. */
int fpp_read_address(uint8_t address[FPP_IPV6_SIZE], int family, const char *text, size_t length);

/* Puts networks in order for the search, in memory of the caller's: networks are sorted where they
 * are, and room holds 2 * count + FPP_NETWORKS_ROOM numbers; both must outlive *out. IPv4-mapped
 * ones become the IPv4 networks that they are, and bits behind a prefix are cleared. */
void fpp_order_networks(fpp_networks *out, fpp_network *networks, size_t count, uint32_t *room);

/* Whether one of them holds the INET or INET6 address. A mapped one is looked for as the IPv4
 * address that it is, so IPv6 networks such as ::/8 do not hold it. */
int fpp_in_networks(const fpp_networks *networks, int family, const uint8_t *address);

#endif
