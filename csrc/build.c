/* Headers written: the v1 line (2.1) and the v2 block (2.2). */
#include "core.h"

enum {
    V1_TEXT_SIZE = FPP_V1_MAX_SIZE + FPP_ADDRESS_TEXT_SIZE,
    CHECKSUM_TLV_SIZE = FPP_TLV_HEAD_SIZE + FPP_CRC32C_SIZE
};

static size_t put_port(char *out, uint32_t port)
{
    uint32_t digits = 1u + (port > 9) + (port > 99) + (port > 999) + (port > 9999);
    /*@ loop invariant i <= digits;
        loop assigns i, port, out[0 .. digits - 1];
        loop variant i; */
    for (uint32_t i = digits; i > 0; port /= 10)
        out[--i] = (char)('0' + port % 10);
    return digits;
}

static size_t put_line(char *line, const fpp_header *header)
{
    static const char UNKNOWN[] = "PROXY UNKNOWN\r\n";
    static const char TCP4[] = "PROXY TCP4 ";
    static const char TCP6[] = "PROXY TCP6 ";
    size_t size = sizeof UNKNOWN - 1;
    if (header->family == FPP_FAMILY_UNSPEC) {
        memcpy(line, UNKNOWN, size);
        return size;
    }
    size = sizeof TCP4 - 1;
    memcpy(line, header->family == FPP_FAMILY_INET ? TCP4 : TCP6, size);
    size += fpp_format_address(line + size, header->family, header->source);
    line[size++] = ' ';
    size += fpp_format_address(line + size, header->family, header->destination);
    line[size++] = ' ';
    size += put_port(line + size, header->source_port);
    line[size++] = ' ';
    size += put_port(line + size, header->destination_port);
    line[size++] = '\r';
    line[size++] = '\n';
    return size;
}

static size_t build_v1(uint8_t *out, size_t capacity, const fpp_header *header)
{
    char line[V1_TEXT_SIZE];
    if (header->command != FPP_COMMAND_PROXY || header->family > FPP_FAMILY_INET6 ||
        (header->family != FPP_FAMILY_UNSPEC && header->transport != FPP_TRANSPORT_STREAM))
        return 0;
    size_t size = put_line(line, header);
    if (size <= capacity)
        memcpy(out, line, size);
    return size;
}

static void put_u16(uint8_t *out, uint32_t value)
{
    out[0] = (uint8_t)(value >> 8);
    out[1] = (uint8_t)value;
}

static void put_inet(uint8_t *out, const fpp_header *header, size_t size)
{
    memcpy(out, header->source, size);
    memcpy(out + size, header->destination, size);
    put_u16(out + 2 * size, header->source_port);
    put_u16(out + 2 * size + 2, header->destination_port);
}

static void put_path(uint8_t *out, const uint8_t *data, fpp_span path)
{
    memset(out, 0, FPP_UNIX_PATH_SIZE);
    if (path.length > 0)
        memcpy(out, data + path.offset, path.length);
}

static void put_block(uint8_t *out, const fpp_header *header, const uint8_t *data)
{
    switch (header->family) {
    case FPP_FAMILY_INET:
        put_inet(out, header, FPP_IPV4_SIZE);
        break;
    case FPP_FAMILY_INET6:
        put_inet(out, header, FPP_IPV6_SIZE);
        break;
    case FPP_FAMILY_UNIX:
        put_path(out, data, header->source_path);
        put_path(out + FPP_UNIX_PATH_SIZE, data, header->destination_path);
        break;
    default:
        break;
    }
}

static size_t put_tlv(uint8_t *out, uint8_t type, const uint8_t *value, uint16_t length)
{
    out[0] = type;
    put_u16(out + 1, length);
    if (length > 0)
        memcpy(out + FPP_TLV_HEAD_SIZE, value, length);
    return FPP_TLV_HEAD_SIZE + (size_t)length;
}

/* The size of the TLVs, and where in them the value of the checksum is, with *checksum left 0 where
 * there is none; SIZE_MAX for those that a receiver must refuse. */
static size_t measure_tlvs(const fpp_tlv_in *tlvs, size_t count, size_t *checksum)
{
    size_t size = 0;
    /*@ loop invariant i <= count && size == size_of_tlvs(tlvs, i) <= FPP_TLV_MAX_SIZE;
        loop invariant each_within(tlvs, i, size);
        loop invariant *checksum == 0 || *checksum + FPP_CRC32C_SIZE <= size;
        loop assigns i, size, *checksum;
        loop variant count - i; */
    for (size_t i = 0; i < count; i++) {
        size_t value = size + FPP_TLV_HEAD_SIZE;
        size = value + tlvs[i].length;
        if (size > FPP_TLV_MAX_SIZE ||
            (tlvs[i].type == FPP_TLV_UNIQUE_ID && tlvs[i].length > FPP_UNIQUE_ID_MAX_SIZE))
            return SIZE_MAX;
        if (tlvs[i].type == FPP_TLV_CRC32C) {
            if (*checksum != 0 || tlvs[i].length != FPP_CRC32C_SIZE)
                return SIZE_MAX;
            *checksum = value;
        }
    }
    return size;
}

static void put_tlvs(uint8_t *out, const fpp_tlv_in *tlvs, size_t count)
{
    size_t size = 0;
    /*@ loop invariant i <= count && size == size_of_tlvs(tlvs, i);
        loop assigns i, size, out[0 .. size_of_tlvs(tlvs, count) - 1];
        loop variant count - i; */
    for (size_t i = 0; i < count; i++)
        size += put_tlv(out + size, tlvs[i].type, tlvs[i].value, tlvs[i].length);
}

/* "Initialize the checksum field to '0's; calculate; put the resultant value into the field". */
static void put_checksum(uint8_t *out, size_t size, uint8_t *field)
{
    memset(field, 0, FPP_CRC32C_SIZE);
    uint32_t crc = fpp_crc32c(0, out, size);
    put_u16(field, crc >> 16);
    put_u16(field + 2, crc & 0xFFFF);
}

static size_t build_v2(uint8_t *out, size_t capacity, const fpp_header *header,
                       const uint8_t *data, const fpp_tlv_in *tlvs, size_t count, unsigned flags)
{
    static const uint8_t SIGNATURE[FPP_SIGNATURE_V2_SIZE] = FPP_SIGNATURE_V2_BYTES;
    static const uint8_t ZEROS[FPP_CRC32C_SIZE];
    size_t checksum = 0;
    size_t chain = FPP_V2_HEAD_SIZE + fpp_block_size(header->family);
    size_t given = measure_tlvs(tlvs, count, &checksum);
    if (header->command > FPP_COMMAND_PROXY || header->family > FPP_FAMILY_UNIX ||
        header->transport > FPP_TRANSPORT_DGRAM || given == SIZE_MAX ||
        header->source_path.length > FPP_UNIX_PATH_SIZE ||
        header->destination_path.length > FPP_UNIX_PATH_SIZE)
        return 0;
    size_t added = (flags & FPP_BUILD_CHECKSUM) && checksum == 0 ? CHECKSUM_TLV_SIZE : 0;
    size_t size = chain + added + given;
    if (size > FPP_MAX_SIZE)
        return 0;
    if (size > capacity)
        return size;

    memcpy(out, SIGNATURE, FPP_SIGNATURE_V2_SIZE);
    out[12] = (uint8_t)(0x20 | header->command);
    out[13] = (uint8_t)(header->family << 4 | header->transport);
    put_u16(out + 14, (uint32_t)(size - FPP_V2_HEAD_SIZE));
    put_block(out + FPP_V2_HEAD_SIZE, header, data);
    if (added != 0) {
        put_tlv(out + chain, FPP_TLV_CRC32C, ZEROS, FPP_CRC32C_SIZE);
        checksum = FPP_TLV_HEAD_SIZE;
    }
    put_tlvs(out + chain + added, tlvs, count);
    if (flags & FPP_BUILD_CHECKSUM)
        put_checksum(out, size, out + chain + checksum);
    return size;
}

size_t fpp_build(uint8_t *out, size_t capacity, const fpp_header *header, const uint8_t *data,
                 const fpp_tlv_in *tlvs, size_t count, unsigned flags)
{
    if (header->version == 1)
        return count > 0 || flags != 0 ? 0 : build_v1(out, capacity, header);
    return header->version == 2 ? build_v2(out, capacity, header, data, tlvs, count, flags) : 0;
}
