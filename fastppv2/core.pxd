# The C core for Cython, `from fastppv2.core cimport *`: the declarations of csrc/fastppv2.h, which
# states each contract, and of csrc/spec.h. Values come from C. docs/embedding.md says how to compile.
from libc.stddef cimport size_t
from libc.stdint cimport uint8_t, uint16_t, uint32_t


cdef extern from "fastppv2.h" nogil:
    enum:
        FPP_API_VERSION
        FPP_BUILD_CHECKSUM
        FPP_NETWORKS_ROOM

    enum:
        FPP_SIGNATURE_V1_SIZE
        FPP_SIGNATURE_V2_SIZE
        FPP_V1_MIN_SIZE
        FPP_V1_MAX_SIZE
        FPP_V2_HEAD_SIZE
        FPP_MAX_SIZE
        FPP_IPV4_SIZE
        FPP_IPV6_SIZE
        FPP_UNIX_PATH_SIZE
        FPP_INET_BLOCK_SIZE
        FPP_INET6_BLOCK_SIZE
        FPP_UNIX_BLOCK_SIZE
        FPP_ADDRESS_TEXT_SIZE
        FPP_TLV_HEAD_SIZE
        FPP_TLV_MAX_SIZE
        FPP_SSL_HEAD_SIZE
        FPP_UNIQUE_ID_MAX_SIZE
        FPP_CRC32C_SIZE
        FPP_SSL_CLIENT_SSL
        FPP_SSL_CLIENT_CERT_CONN
        FPP_SSL_CLIENT_CERT_SESS

    enum:
        FPP_STATUS_OK
        FPP_STATUS_INCOMPLETE
        FPP_STATUS_MISSING
        FPP_STATUS_VERSION_REFUSED
        FPP_STATUS_V1_SPACE
        FPP_STATUS_V1_LINE_FEED
        FPP_STATUS_V1_CARRIAGE_RETURN
        FPP_STATUS_V1_TOO_LONG
        FPP_STATUS_V1_PROTOCOL
        FPP_STATUS_V1_SOURCE
        FPP_STATUS_V1_DESTINATION
        FPP_STATUS_V1_SOURCE_PORT
        FPP_STATUS_V1_DESTINATION_PORT
        FPP_STATUS_V1_END
        FPP_STATUS_V2_VERSION
        FPP_STATUS_V2_COMMAND
        FPP_STATUS_V2_FAMILY
        FPP_STATUS_V2_TRANSPORT
        FPP_STATUS_V2_LENGTH
        FPP_STATUS_V2_TOO_LARGE
        FPP_STATUS_TLV_TRUNCATED
        FPP_STATUS_TLV_OVERRUN
        FPP_STATUS_UNIQUE_ID_SIZE
        FPP_STATUS_CHECKSUM_SIZE
        FPP_STATUS_CHECKSUM_REPEATED
        FPP_STATUS_CHECKSUM_WRONG

    enum:
        FPP_COMMAND_LOCAL
        FPP_COMMAND_PROXY

    enum:
        FPP_FAMILY_UNSPEC
        FPP_FAMILY_INET
        FPP_FAMILY_INET6
        FPP_FAMILY_UNIX

    enum:
        FPP_TRANSPORT_UNSPEC
        FPP_TRANSPORT_STREAM
        FPP_TRANSPORT_DGRAM

    enum:
        FPP_DETECTED_UNDECIDED
        FPP_DETECTED_V1
        FPP_DETECTED_V2
        FPP_DETECTED_MISSING

    enum:
        FPP_TLV_ALPN
        FPP_TLV_AUTHORITY
        FPP_TLV_CRC32C
        FPP_TLV_NOOP
        FPP_TLV_UNIQUE_ID
        FPP_TLV_SSL
        FPP_TLV_SSL_VERSION
        FPP_TLV_SSL_CN
        FPP_TLV_SSL_CIPHER
        FPP_TLV_SSL_SIG_ALG
        FPP_TLV_SSL_KEY_ALG
        FPP_TLV_SSL_GROUP
        FPP_TLV_SSL_SIG_SCHEME
        FPP_TLV_SSL_CLIENT_CERT
        FPP_TLV_NETNS

    ctypedef struct fpp_span:
        uint32_t offset
        uint32_t length

    ctypedef struct fpp_header:
        uint32_t size
        uint8_t version
        uint8_t command
        uint8_t family
        uint8_t transport
        uint16_t source_port
        uint16_t destination_port
        uint8_t source[16]
        uint8_t destination[16]
        fpp_span source_path
        fpp_span destination_path
        fpp_span tlvs

    ctypedef struct fpp_error:
        uint32_t offset
        uint32_t needed

    ctypedef struct fpp_tlv:
        uint8_t type
        fpp_span value

    ctypedef struct fpp_ssl:
        uint8_t client
        uint32_t verify
        fpp_span tlvs

    ctypedef struct fpp_tlv_in:
        uint8_t type
        uint16_t length
        const uint8_t *value

    ctypedef struct fpp_network:
        uint8_t address[16]
        uint8_t family
        uint8_t prefix

    ctypedef struct fpp_networks:
        const fpp_network *networks
        const uint32_t *starts
        const uint32_t *ends
        size_t count
        size_t inet

    int fpp_detect(const uint8_t *data, size_t length)
    int fpp_parse(const uint8_t *data, size_t length, uint32_t max_size, fpp_header *out,
                  fpp_error *why)
    int fpp_tlv_next(const uint8_t *data, fpp_span *rest, fpp_tlv *out)
    int fpp_ssl_open(const uint8_t *data, fpp_span value, fpp_ssl *out)
    size_t fpp_build(uint8_t *out, size_t capacity, const fpp_header *header, const uint8_t *data,
                     const fpp_tlv_in *tlvs, size_t count, unsigned flags)
    uint32_t fpp_crc32c(uint32_t crc, const uint8_t *data, size_t length)
    const char *fpp_crc32c_kind()
    size_t fpp_format_address(char *out, int family, const uint8_t *address)
    int fpp_read_address(uint8_t *address, int family, const char *text, size_t length)
    void fpp_order_networks(fpp_networks *out, fpp_network *networks, size_t count,
                            uint32_t *room)
    int fpp_in_networks(const fpp_networks *networks, int family, const uint8_t *address)
