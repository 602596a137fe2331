/* What each function of the core requires and promises. Behind the functions, for some of them take
 * types of their own files. Their loops say the rest. */

/* cursor.h */

/*@ requires \valid_read(data + (0 .. length - 1));
    assigns \result \from data, length;
    ensures readable(\result) && \result.data == data;
    ensures \result.length == \min(length, FPP_MAX_SIZE); */
static inline fpp_view fpp_view_of(const uint8_t *data, size_t length);

/*@ assigns \result \from view, offset, count;
    ensures \result != 0 <==> offset + count <= view.length; */
static inline int fpp_has(fpp_view view, uint32_t offset, uint32_t count);

/*@ requires has(view, offset, count);
    assigns \result \from view, offset;
    ensures \result == view.data + offset; */
static inline const uint8_t *fpp_at(fpp_view view, uint32_t offset, uint32_t count);

/*@ requires has(view, offset, 1);
    assigns \result \from view.data[offset]; */
static inline uint8_t fpp_u8(fpp_view view, uint32_t offset);

/*@ requires has(view, offset, 2);
    assigns \result \from view.data[offset .. offset + 1]; */
static inline uint16_t fpp_u16(fpp_view view, uint32_t offset);

/*@ requires has(view, offset, 4);
    assigns \result \from view.data[offset .. offset + 3]; */
static inline uint32_t fpp_u32(fpp_view view, uint32_t offset);

/*@ requires \valid_read(at + (0 .. 7));
    assigns \result \from at[0 .. 7]; */
static inline uint64_t fpp_load8(const uint8_t at[8]);

/*@ requires \valid_read(at + (0 .. 3));
    assigns \result \from at[0 .. 3]; */
static inline uint32_t fpp_load4(const uint8_t at[4]);

/*@ requires readable(view);
    assigns \result \from view, offset, view.data[0 .. view.length - 1]; */
static inline uint64_t fpp_text8(fpp_view view, uint32_t offset);

/*@ requires readable(view);
    assigns \result \from view, offset, view.data[0 .. view.length - 1]; */
static inline uint32_t fpp_text4(fpp_view view, uint32_t offset);

/*@ requires readable(view);
    assigns \result \from view, offset, view.data[0 .. view.length - 1]; */
static inline uint8_t fpp_text(fpp_view view, uint32_t offset);

/*@ requires readable(view) && (offset < end ==> end <= view.length);
    assigns \result \from view, offset, end, byte, view.data[0 .. view.length - 1];
    ensures offset <= end ==> offset <= \result <= end;
    ensures offset >= end ==> \result == end; */
static inline uint32_t fpp_find(fpp_view view, uint32_t offset, uint32_t end, uint8_t byte);

/*@ requires readable(view) && bytes(expected, count);
    assigns \result \from view, offset, count, view.data[0 .. view.length - 1],
                          ((uint8_t *)expected)[0 .. count - 1];
    ensures \result != 0 ==> offset + count <= view.length; */
static inline int fpp_equal(fpp_view view, uint32_t offset, const void *expected, uint32_t count);

/*@ requires has(view, offset, count) && room(out, count) && apart(view, out, count);
    assigns ((uint8_t *)out)[0 .. count - 1] \from view.data[offset .. offset + count - 1]; */
static inline void fpp_copy(void *out, fpp_view view, uint32_t offset, uint32_t count);

/* core.h */

/*@ assigns \result \from text; */
static inline uint32_t fpp_non_digits(uint64_t text);

/*@ assigns \result \from text, byte; */
static inline uint32_t fpp_equal8(uint64_t text, uint8_t byte);

/*@ requires \valid_read(text + (0 .. 15));
    assigns \result \from text[0 .. 15]; */
static inline uint32_t fpp_non_digits16(const uint8_t text[16]);

/*@ requires \valid_read(text + (0 .. 15));
    assigns \result \from text[0 .. 15], byte; */
static inline uint32_t fpp_equal16(const uint8_t text[16], uint8_t byte);

/*@ requires \valid(out + (0 .. 15));
    assigns out[0 .. 15] \from low, high; */
static inline void fpp_store16(uint8_t out[16], uint64_t low, uint64_t high);

/*@ requires marks != 0;
    assigns \result \from marks;
    ensures \result < 32; */
static inline uint32_t fpp_first_mark(uint32_t marks);

/*@ assigns \result \from family;
    ensures \result == (family == FPP_FAMILY_INET    ? FPP_INET_BLOCK_SIZE
                         : family == FPP_FAMILY_INET6 ? FPP_INET6_BLOCK_SIZE
                         : family == FPP_FAMILY_UNIX  ? FPP_UNIX_BLOCK_SIZE
                                                      : 0); */
static inline uint32_t fpp_block_size(uint8_t family);

/*@ requires \valid(why);
    assigns *why \from offset;
    assigns \result \from status;
    ensures \result == status; */
static inline int fpp_fault(fpp_error *why, int status, uint32_t offset);

/*@ requires \valid(why);
    assigns *why \from needed;
    assigns \result \from \nothing;
    ensures \result == FPP_STATUS_INCOMPLETE; */
static inline int fpp_incomplete(fpp_error *why, uint32_t needed);

/* quad.h */

/*@ requires \valid(ends) && *ends != 0;
    assigns *ends, \result \from *ends;
    ensures 1 <= \result <= 32; */
static inline uint32_t fpp_next_start(uint32_t *ends);

/*@ requires start <= 32 && 1 <= next <= 32;
    assigns \result \from start, next;
    ensures \result != 0 <==> 2 <= next - start <= 4; */
static inline int fpp_is_number(uint32_t start, uint32_t next);

/*@ requires \valid_read(text + (0 .. FPP_QUAD_SIZE - 1)) && \valid(out);
    assigns *out, \result \from text[0 .. FPP_QUAD_SIZE - 1];
    ensures \result != 0 ==> out->start[0] == 0;
    ensures \result != 0 ==> 2 <= out->start[1] <= 4;
    ensures \result != 0 ==> 2 <= out->start[2] - out->start[1] <= 4;
    ensures \result != 0 ==> 2 <= out->start[3] - out->start[2] <= 4;
    ensures \result != 0 ==> 2 <= out->start[4] - out->start[3] <= 4; */
static inline int fpp_split_quad(const uint8_t text[FPP_QUAD_SIZE], fpp_quad *out);

/*@ requires \valid_read(text + (0 .. FPP_QUAD_SIZE - 1));
    requires start + 4 <= FPP_QUAD_SIZE && 2 <= next - start <= 4;
    assigns \result \from text[start .. start + 3], start, next; */
static inline uint64_t fpp_digits_of(const uint8_t text[FPP_QUAD_SIZE], uint32_t start,
                                     uint32_t next);

/*@ assigns \result \from digits; */
static inline uint64_t fpp_weigh2(uint64_t digits);

/*@ requires \valid(values + (0 .. 3));
    assigns values[0 .. 3], \result \from first, second; */
static inline int fpp_weigh4(uint64_t first, uint64_t second, uint8_t values[4]);

/*@ requires \valid_read(text + (0 .. FPP_QUAD_SIZE - 1));
    requires \valid(address + (0 .. FPP_IPV4_SIZE - 1));
    assigns address[0 .. FPP_IPV4_SIZE - 1], \result \from text[0 .. FPP_QUAD_SIZE - 1];
    ensures \result < FPP_QUAD_SIZE; */
static inline uint32_t fpp_read_quad(const uint8_t text[FPP_QUAD_SIZE],
                                     uint8_t address[FPP_IPV4_SIZE]);

/*@ requires readable(text) && \valid(address + (0 .. FPP_IPV4_SIZE - 1));
    assigns address[0 .. FPP_IPV4_SIZE - 1], \result \from text, at,
                                                           text.data[0 .. text.length - 1];
    ensures \result < FPP_QUAD_SIZE; */
static inline uint32_t fpp_ipv4_text(fpp_view text, uint32_t at, uint8_t address[FPP_IPV4_SIZE]);

/* address.c */

/*@ requires readable(text) && \valid(value);
    assigns *value, \result \from text, at, text.data[0 .. text.length - 1];
    ensures \result <= 4; */
static uint32_t read_group(fpp_view text, uint32_t at, uint32_t *value);

/*@ requires \valid(address + (0 .. FPP_IPV6_SIZE - 1));
    requires filled <= FPP_IPV6_SIZE && (gap == NO_GAP || gap <= filled);
    assigns address[0 .. FPP_IPV6_SIZE - 1] \from address[0 .. FPP_IPV6_SIZE - 1], filled, gap;
    assigns \result \from filled, gap; */
static int close_gap(uint8_t address[FPP_IPV6_SIZE], uint32_t filled, uint32_t gap);

/*@ requires readable(text) && \valid(address + (0 .. FPP_IPV6_SIZE - 1));
    assigns address[0 .. FPP_IPV6_SIZE - 1] \from text, at, text.data[0 .. text.length - 1],
                                                  address[0 .. FPP_IPV6_SIZE - 1];
    assigns \result \from text, at, text.data[0 .. text.length - 1]; */
uint32_t fpp_ipv6_text(fpp_view text, uint32_t at, uint8_t address[FPP_IPV6_SIZE]);

/*@ requires bytes(text, length) && \valid(address + (0 .. FPP_IPV6_SIZE - 1));
    assigns address[0 .. FPP_IPV6_SIZE - 1] \from family, ((uint8_t *)text)[0 .. length - 1],
                                                  address[0 .. FPP_IPV6_SIZE - 1];
    assigns \result \from family, ((uint8_t *)text)[0 .. length - 1]; */
int fpp_read_address(uint8_t address[FPP_IPV6_SIZE], int family, const char *text, size_t length);

/*@ requires \valid(out + (0 .. 3)) && octet < 256;
    assigns out[0 .. 3], \result \from octet;
    ensures 1 <= \result <= 3; */
static size_t format_octet(char out[4], uint32_t octet);

/*@ requires \valid(out + (0 .. FPP_IPV4_SIZE * 4 - 1));
    requires \valid_read(address + (0 .. FPP_IPV4_SIZE - 1));
    assigns out[0 .. FPP_IPV4_SIZE * 4 - 1], \result \from address[0 .. FPP_IPV4_SIZE - 1];
    ensures 1 <= \result <= FPP_IPV4_SIZE * 4 - 1; */
static size_t format_ipv4(char out[FPP_IPV4_SIZE * 4], const uint8_t *address);

/*@ requires \valid_read(bytes + (0 .. 3));
    assigns \result \from bytes[0 .. 3]; */
static uint64_t hex_digits(const uint8_t bytes[4]);

/*@ requires \valid(out + (0 .. 3));
    assigns out[0 .. 3] \from text, group;
    assigns \result \from group;
    ensures 1 <= \result <= 4; */
static size_t format_group(char out[4], uint32_t text, uint32_t group);

/*@ requires \valid_read(groups + (0 .. GROUPS - 1)) && \valid(start) && *start == 0;
    assigns *start, \result \from groups[0 .. GROUPS - 1];
    ensures *start + \result <= GROUPS; */
static uint32_t longest_run(const uint16_t groups[GROUPS], uint32_t *start);

/*@ requires count <= GROUPS && \valid(out + (0 .. 5 * count - 1));
    requires \valid_read(texts + (0 .. count - 1)) && \valid_read(groups + (0 .. count - 1));
    assigns out[0 .. 5 * count - 1] \from texts[0 .. count - 1], groups[0 .. count - 1];
    assigns \result \from groups[0 .. count - 1], count;
    ensures 2 * count <= \result <= 5 * count; */
static size_t format_groups(char *out, const uint32_t *texts, const uint16_t *groups,
                            uint32_t count);

/*@ requires \valid(out + (0 .. FPP_ADDRESS_TEXT_SIZE - 1));
    requires \valid_read(address + (0 .. FPP_IPV6_SIZE - 1));
    assigns out[0 .. FPP_ADDRESS_TEXT_SIZE - 1], \result \from address[0 .. FPP_IPV6_SIZE - 1];
    ensures 1 <= \result < FPP_ADDRESS_TEXT_SIZE; */
static size_t format_ipv6(char *out, const uint8_t *address);

/*@ requires \valid(out + (0 .. FPP_ADDRESS_TEXT_SIZE - 1));
    requires \valid_read(address + (0 .. FPP_IPV4_SIZE - 1));
    requires family != FPP_FAMILY_INET ==> \valid_read(address + (0 .. FPP_IPV6_SIZE - 1));
    assigns out[0 .. FPP_ADDRESS_TEXT_SIZE - 1], \result \from family,
                                                               address[0 .. FPP_IPV6_SIZE - 1];
    ensures 1 <= \result < FPP_ADDRESS_TEXT_SIZE; */
size_t fpp_format_address(char out[FPP_ADDRESS_TEXT_SIZE], int family, const uint8_t *address);

/* v1.c */

/*@ requires readable(line);
    assigns \result \from line, line.data[0 .. line.length - 1]; */
static inline uint8_t read_family(fpp_view line);

/*@ requires readable(line) && \valid(port);
    assigns *port, \result \from line, at, line.data[0 .. line.length - 1];
    ensures \result <= 5; */
static inline uint32_t read_port(fpp_view line, uint32_t at, uint16_t *port);

/*@ requires readable(line) && \valid(address + (0 .. FPP_IPV6_SIZE - 1));
    assigns address[0 .. FPP_IPV6_SIZE - 1] \from line, at, family,
                                                  line.data[0 .. line.length - 1];
    assigns \result \from line, at, family, line.data[0 .. line.length - 1]; */
static inline uint32_t read_address(fpp_view line, uint32_t at, uint8_t family, uint8_t *address);

/*@ requires readable(line) && \valid(out) && \valid(why) && \separated(out, why);
    assigns out->size, out->family, out->transport, out->source_port, out->destination_port,
            out->source[0 .. FPP_IPV6_SIZE - 1], out->destination[0 .. FPP_IPV6_SIZE - 1],
            *why, \result \from line, line.data[0 .. line.length - 1];
    ensures \result == FPP_STATUS_OK ==> out->size <= line.length; */
static int read_fields(fpp_view line, fpp_header *out, fpp_error *why);

/*@ requires readable(line);
    assigns \result \from line.data[0 .. line.length - 1]; */
static int is_unknown(fpp_view line);

/*@ requires readable(line) && at + WINDOW_SIZE <= line.length;
    assigns \result \from line.data[at .. at + WINDOW_SIZE - 1]; */
static inline uint32_t line_feeds(fpp_view line, uint32_t at);

/*@ requires readable(line);
    assigns \result \from line, line.data[0 .. line.length - 1];
    ensures PROTOCOL_OFFSET <= \result <= line.length || \result == line.length; */
static inline uint32_t find_line_feed(fpp_view line);

/*@ requires readable(line) && line.length >= FPP_SIGNATURE_V1_SIZE && \valid(why);
    assigns *why, \result \from line, line.data[0 .. line.length - 1];
    ensures \result != FPP_STATUS_OK; */
static int unfinished(fpp_view line, fpp_error *why);

/*@ requires readable(line) && line.length >= FPP_SIGNATURE_V1_SIZE && \valid(why);
    assigns *why, \result \from line, line.data[0 .. line.length - 1]; */
static int judge_line(fpp_view line, fpp_error *why);

/*@ requires readable(line) && line.length >= FPP_SIGNATURE_V1_SIZE;
    requires \valid(out) && \valid(why) && \separated(out, why);
    assigns out->size, out->tlvs.offset, *why, \result \from line,
                                                           line.data[0 .. line.length - 1];
    ensures \result == FPP_STATUS_OK ==> out->size == out->tlvs.offset <= line.length; */
static inline int parse_unknown(fpp_view line, fpp_header *out, fpp_error *why);

/*@ requires readable(line) && line.length >= FPP_SIGNATURE_V1_SIZE;
    requires \valid(out) && \valid(why) && \separated(out, why);
    assigns out->size, out->family, out->transport, out->source_port, out->destination_port,
            out->source[0 .. FPP_IPV6_SIZE - 1], out->destination[0 .. FPP_IPV6_SIZE - 1],
            out->tlvs.offset, *why, \result \from line, line.data[0 .. line.length - 1];
    ensures \result == FPP_STATUS_OK ==> out->size == out->tlvs.offset <= line.length; */
static int parse_addresses(fpp_view line, fpp_header *out, fpp_error *why);

/*@ requires readable(input) && input.length >= FPP_SIGNATURE_V1_SIZE;
    requires \valid(out) && \valid(why) && \separated(out, why);
    assigns *out, *why, \result \from input, input.data[0 .. input.length - 1];
    ensures \result == FPP_STATUS_OK ==> is_header(*out, input.length); */
int fpp_v1_parse(fpp_view input, fpp_header *out, fpp_error *why);

/* v2.c */

/*@ requires readable(input) && \valid(out) && \valid(why) && \separated(out, why);
    assigns *out, *why, \result \from input, input.data[0 .. input.length - 1]; */
static inline int read_kind(fpp_view input, kind *out, fpp_error *why);

/*@ requires has(header, offset, FPP_UNIX_PATH_SIZE);
    assigns \result \from offset, header.data[0 .. header.length - 1];
    ensures \result.offset == offset && \result.length <= FPP_UNIX_PATH_SIZE; */
static fpp_span read_path(fpp_view header, uint32_t offset);

/*@ requires has(header, FPP_V2_HEAD_SIZE, 2 * size + 4) && \valid(out);
    requires size == FPP_IPV4_SIZE || size == FPP_IPV6_SIZE;
    requires apart(header, out, sizeof(fpp_header));
    assigns out->source[0 .. size - 1] \from header.data[0 .. header.length - 1];
    assigns out->destination[0 .. size - 1] \from header.data[0 .. header.length - 1];
    assigns out->source_port, out->destination_port \from header.data[0 .. header.length - 1]; */
static inline void read_inet(fpp_view header, uint32_t size, fpp_header *out);

/*@ requires has(header, from, 0) && FPP_V2_HEAD_SIZE <= from <= header.length;
    requires \valid(out) && \valid(why) && \separated(out, why);
    assigns out->tlvs, *why, \result \from from, header, header.data[0 .. header.length - 1];
    ensures out->tlvs.offset == from;
    ensures out->tlvs.length == header.length - from; */
static int finish(fpp_view header, uint32_t from, fpp_header *out, fpp_error *why);

/*@ requires has(header, 0, FPP_V2_HEAD_SIZE);
    requires \valid(out) && \valid(why) && \separated(out, why);
    assigns out->tlvs, *why, \result \from out->command, header,
                                           header.data[0 .. header.length - 1];
    ensures out->tlvs.offset + out->tlvs.length == header.length; */
static int finish_without_addresses(fpp_view header, fpp_header *out, fpp_error *why);

/*@ requires readable(input) && \valid(out) && \valid(why) && \separated(out, why);
    requires apart(input, out, sizeof(fpp_header));
    assigns *out, *why, \result \from input, max_size, input.data[0 .. input.length - 1];
    ensures \result == FPP_STATUS_OK ==> is_header(*out, input.length); */
int fpp_v2_parse(fpp_view input, uint32_t max_size, fpp_header *out, fpp_error *why);

/* tlv.c */

/*@ requires \valid(rest) && \valid(out) && \separated(rest, out) && holds(data, *rest);
    assigns *rest, *out, \result \from *rest, data[0 .. rest->offset + rest->length - 1];
    ensures rest->offset + rest->length == \old(rest->offset + rest->length);
    ensures \result <= 0 ==> *rest == \old(*rest);
    ensures \result > 0 ==> out->value.offset == \old(rest->offset) + FPP_TLV_HEAD_SIZE;
    ensures \result > 0 ==> rest->offset == out->value.offset + out->value.length;
    ensures \result > 0 ==> rest->length < \old(rest->length); */
int fpp_tlv_next(const uint8_t *data, fpp_span *rest, fpp_tlv *out);

/*@ requires holds(data, rest);
    assigns \result \from rest, data[0 .. rest.offset + rest.length - 1]; */
static int chain_is_whole(const uint8_t *data, fpp_span rest);

/*@ requires has(header, from, 0);
    assigns \result \from from, header, header.data[0 .. header.length - 1]; */
int fpp_tlv_whole(fpp_view header, uint32_t from);

/*@ requires has(header, value, FPP_CRC32C_SIZE);
    assigns \result \from value, header, header.data[0 .. header.length - 1]; */
static int checksum_matches(fpp_view header, uint32_t value);

/*@ requires \valid_read(tlv) && \valid(checksum) && \valid(why);
    requires \separated(tlv, checksum, why);
    assigns *checksum, *why, \result \from *tlv, *checksum;
    ensures *checksum == \old(*checksum) ||
            (*checksum == tlv->value.offset && tlv->value.length == FPP_CRC32C_SIZE); */
static int check_tlv(const fpp_tlv *tlv, uint32_t *checksum, fpp_error *why);

/*@ requires has(header, from, 0) && \valid(why);
    assigns *why, \result \from from, header, header.data[0 .. header.length - 1]; */
int fpp_tlv_check(fpp_view header, uint32_t from, fpp_error *why);

/*@ requires holds(data, value) && \valid(out);
    assigns *out, \result \from value, data[0 .. value.offset + value.length - 1];
    ensures \result != 0 ==> out->tlvs.offset + out->tlvs.length == value.offset + value.length; */
int fpp_ssl_open(const uint8_t *data, fpp_span value, fpp_ssl *out);

/* parse.c */

/*@ requires readable(input);
    assigns \result \from input.data[0 .. input.length - 1];
    ensures \result != 0 ==> input.length >= FPP_SIGNATURE_V1_SIZE; */
static inline int starts_v1(fpp_view input);

/*@ requires readable(input);
    assigns \result \from input.data[0 .. input.length - 1];
    ensures \result != 0 ==> input.length >= FPP_SIGNATURE_V2_SIZE; */
static inline int starts_v2(fpp_view input);

/*@ requires readable(input);
    assigns \result \from input.data[0 .. input.length - 1]; */
static int may_start(fpp_view input);

/*@ requires \valid_read(data + (0 .. length - 1));
    assigns \result \from length, data[0 .. length - 1]; */
int fpp_detect(const uint8_t *data, size_t length);

/*@ requires readable(input) && \valid(why);
    assigns *why, \result \from input, input.data[0 .. input.length - 1];
    ensures \result != FPP_STATUS_OK; */
static int no_signature(fpp_view input, fpp_error *why);

/*@ requires \valid_read(data + (0 .. length - 1));
    requires \valid(out) && \valid(why) && \separated(out, why);
    requires \separated(data + (0 .. length - 1), (uint8_t *)out + (0 .. sizeof(fpp_header) - 1));
    assigns *out, *why, \result \from length, max_size, data[0 .. length - 1];
    ensures \result == FPP_STATUS_OK ==> is_header(*out, length); */
int fpp_parse(const uint8_t *data, size_t length, uint32_t max_size, fpp_header *out,
              fpp_error *why);

/* crc32c.c */

/*@ requires \valid_read(data + (0 .. length - 1));
    assigns \result \from crc, length, data[0 .. length - 1]; */
uint32_t fpp_crc32c_by_table(uint32_t crc, const uint8_t *data, size_t length);

/*@ requires \valid_read(data + (0 .. length - 1));
    assigns \result \from crc, length, data[0 .. length - 1]; */
uint32_t fpp_crc32c(uint32_t crc, const uint8_t *data, size_t length);

/*@ assigns \result \from \nothing; */
const char *fpp_crc32c_kind(void);

/* build.c */

/*@ requires \valid(out + (0 .. 4)) && port <= 65535;
    assigns out[0 .. 4], \result \from port;
    ensures 1 <= \result <= 5; */
static size_t put_port(char *out, uint32_t port);

/*@ requires \valid(line + (0 .. V1_TEXT_SIZE - 1)) && \valid_read(header);
    assigns line[0 .. V1_TEXT_SIZE - 1], \result \from *header;
    ensures \result <= V1_TEXT_SIZE; */
static size_t put_line(char *line, const fpp_header *header);

/*@ requires \valid(out + (0 .. capacity - 1)) && \valid_read(header);
    assigns out[0 .. capacity - 1], \result \from capacity, *header; */
static size_t build_v1(uint8_t *out, size_t capacity, const fpp_header *header);

/*@ requires \valid(out + (0 .. 1));
    assigns out[0 .. 1] \from value; */
static void put_u16(uint8_t *out, uint32_t value);

/*@ requires size == FPP_IPV4_SIZE || size == FPP_IPV6_SIZE;
    requires \valid(out + (0 .. 2 * size + 3)) && \valid_read(header);
    requires \separated(out + (0 .. 2 * size + 3), header);
    assigns out[0 .. 2 * size + 3] \from *header; */
static void put_inet(uint8_t *out, const fpp_header *header, size_t size);

/*@ requires \valid(out + (0 .. FPP_UNIX_PATH_SIZE - 1)) && path.length <= FPP_UNIX_PATH_SIZE;
    requires \valid_read(data + (path.offset .. path.offset + path.length - 1));
    requires \separated(out + (0 .. FPP_UNIX_PATH_SIZE - 1),
                        data + (path.offset .. path.offset + path.length - 1));
    assigns out[0 .. FPP_UNIX_PATH_SIZE - 1] \from
                data[path.offset .. path.offset + path.length - 1], path; */
static void put_path(uint8_t *out, const uint8_t *data, fpp_span path);

/*@ predicate readable_path(uint8_t *data, fpp_span path) =
        path.length <= FPP_UNIX_PATH_SIZE ==>
        \valid_read(data + (path.offset .. path.offset + path.length - 1));
    predicate apart_from_path(uint8_t *out, integer size, uint8_t *data, fpp_span path) =
        path.length <= FPP_UNIX_PATH_SIZE ==>
        \separated(out + (0 .. size - 1),
                   data + (path.offset .. path.offset + path.length - 1)); */

/*@ requires header->family <= FPP_FAMILY_UNIX;
    requires header->source_path.length <= FPP_UNIX_PATH_SIZE;
    requires header->destination_path.length <= FPP_UNIX_PATH_SIZE;
    requires \valid_read(header);
    requires header->family == FPP_FAMILY_INET ==>
             \valid(out + (0 .. FPP_INET_BLOCK_SIZE - 1)) &&
             \separated(out + (0 .. FPP_INET_BLOCK_SIZE - 1), header);
    requires header->family == FPP_FAMILY_INET6 ==>
             \valid(out + (0 .. FPP_INET6_BLOCK_SIZE - 1)) &&
             \separated(out + (0 .. FPP_INET6_BLOCK_SIZE - 1), header);
    requires header->family == FPP_FAMILY_UNIX ==>
             \valid(out + (0 .. FPP_UNIX_BLOCK_SIZE - 1)) &&
             \separated(out + (0 .. FPP_UNIX_BLOCK_SIZE - 1), header) &&
             readable_path(data, header->source_path) &&
             readable_path(data, header->destination_path) &&
             apart_from_path(out, FPP_UNIX_BLOCK_SIZE, data, header->source_path) &&
             apart_from_path(out, FPP_UNIX_BLOCK_SIZE, data, header->destination_path);
    assigns out[0 .. (header->family == FPP_FAMILY_INET    ? FPP_INET_BLOCK_SIZE
                      : header->family == FPP_FAMILY_INET6 ? FPP_INET6_BLOCK_SIZE
                      : header->family == FPP_FAMILY_UNIX  ? FPP_UNIX_BLOCK_SIZE
                                                           : 0) - 1]; */
static void put_block(uint8_t *out, const fpp_header *header, const uint8_t *data);

/*@ requires \valid(out + (0 .. FPP_TLV_HEAD_SIZE + length - 1));
    requires \valid_read(value + (0 .. length - 1));
    requires \separated(out + (0 .. FPP_TLV_HEAD_SIZE + length - 1), value + (0 .. length - 1));
    assigns out[0 .. FPP_TLV_HEAD_SIZE + length - 1] \from type, value[0 .. length - 1], length;
    assigns \result \from length;
    ensures \result == FPP_TLV_HEAD_SIZE + length; */
static size_t put_tlv(uint8_t *out, uint8_t type, const uint8_t *value, uint16_t length);

/*@ requires \valid_read(tlvs + (0 .. count - 1)) && \valid(checksum) && *checksum == 0;
    requires \separated(checksum, tlvs + (0 .. count - 1));
    assigns *checksum, \result \from tlvs[0 .. count - 1], count;
    ensures \result == SIZE_MAX || \result == size_of_tlvs(tlvs, count) <= FPP_TLV_MAX_SIZE;
    ensures \result != SIZE_MAX ==>
            *checksum == 0 || *checksum + FPP_CRC32C_SIZE <= \result;
    ensures \result != SIZE_MAX ==> each_within(tlvs, count, \result); */
static size_t measure_tlvs(const fpp_tlv_in *tlvs, size_t count, size_t *checksum);

/*@ requires \valid(out + (0 .. size_of_tlvs(tlvs, count) - 1)) && readable_tlvs(tlvs, count);
    requires apart_from_tlvs(out, size_of_tlvs(tlvs, count), tlvs, count);
    requires size_of_tlvs(tlvs, count) <= FPP_TLV_MAX_SIZE;
    requires each_within(tlvs, count, size_of_tlvs(tlvs, count));
    assigns out[0 .. size_of_tlvs(tlvs, count) - 1] \from tlvs[0 .. count - 1]; */
static void put_tlvs(uint8_t *out, const fpp_tlv_in *tlvs, size_t count);

/*@ requires \valid(out + (0 .. size - 1));
    requires \exists integer k; 0 <= k <= size - FPP_CRC32C_SIZE && field == out + k;
    assigns field[0 .. FPP_CRC32C_SIZE - 1] \from out[0 .. size - 1]; */
static void put_checksum(uint8_t *out, size_t size, uint8_t *field);

/*@ requires \valid(out + (0 .. capacity - 1)) && \valid_read(header);
    requires \separated(out + (0 .. capacity - 1), header);
    requires readable_tlvs(tlvs, count) && apart_from_tlvs(out, capacity, tlvs, count);
    requires header->family == FPP_FAMILY_UNIX ==>
             readable_path(data, header->source_path) &&
             readable_path(data, header->destination_path) &&
             apart_from_path(out, capacity, data, header->source_path) &&
             apart_from_path(out, capacity, data, header->destination_path);
    assigns out[0 .. capacity - 1], \result; */
static size_t build_v2(uint8_t *out, size_t capacity, const fpp_header *header,
                       const uint8_t *data, const fpp_tlv_in *tlvs, size_t count, unsigned flags);

/*@ requires \valid(out + (0 .. capacity - 1)) && \valid_read(header);
    requires \separated(out + (0 .. capacity - 1), header);
    requires readable_tlvs(tlvs, count) && apart_from_tlvs(out, capacity, tlvs, count);
    requires header->family == FPP_FAMILY_UNIX ==>
             readable_path(data, header->source_path) &&
             readable_path(data, header->destination_path) &&
             apart_from_path(out, capacity, data, header->source_path) &&
             apart_from_path(out, capacity, data, header->destination_path);
    assigns out[0 .. capacity - 1], \result; */
size_t fpp_build(uint8_t *out, size_t capacity, const fpp_header *header, const uint8_t *data,
                 const fpp_tlv_in *tlvs, size_t count, unsigned flags);

/* networks.c */

/*@ requires \valid_read(at + (0 .. 7));
    assigns \result \from at[0 .. 7]; */
static inline uint64_t number8(const uint8_t at[8]);

/*@ requires \valid_read(at + (0 .. 3));
    assigns \result \from at[0 .. 3]; */
static inline uint32_t number4(const uint8_t at[4]);

/*@ requires \valid_read(network);
    assigns \result \from *network; */
static inline position position_of(const fpp_network *network);

/*@ assigns \result \from left, right; */
static inline int is_before(position left, position right);

/*@ assigns \result \from bits; */
static inline uint64_t leading(int bits);

/*@ requires \valid_read(network);
    assigns \result \from *network, address; */
static inline int network_holds(const fpp_network *network, position address);

/*@ requires \valid(network);
    assigns *network \from *network; */
static void make_plain(fpp_network *network);

/*@ requires \valid_read(left) && \valid_read(right);
    assigns \result \from *left, *right; */
static int comes_before(const fpp_network *left, const fpp_network *right);

/*@ requires \valid(networks + (0 .. count - 1));
    assigns networks[0 .. count - 1] \from networks[0 .. count - 1], count; */
static void sort_networks(fpp_network *networks, size_t count);

/*@ requires \valid_read(starts + (0 .. count + WINDOW - 1));
    assigns \result \from starts[0 .. count + WINDOW - 1], count, number;
    ensures \result <= count + WINDOW; */
static inline size_t count_starts(const uint32_t *starts, size_t count, uint32_t number);

/*@ requires \valid(out) && \valid(networks + (0 .. count - 1));
    requires \valid(room + (0 .. 2 * count + FPP_NETWORKS_ROOM - 1));
    requires 2 * count + FPP_NETWORKS_ROOM <= SIZE_MAX;
    requires \separated(out, networks + (0 .. count - 1),
                        room + (0 .. 2 * count + FPP_NETWORKS_ROOM - 1));
    assigns *out \from networks, networks[0 .. count - 1], count, room;
    assigns networks[0 .. count - 1] \from networks[0 .. count - 1], count;
    assigns room[0 .. 2 * count + FPP_NETWORKS_ROOM - 1] \from networks[0 .. count - 1], count;
    ensures searchable(out); */
void fpp_order_networks(fpp_networks *out, fpp_network *networks, size_t count, uint32_t *room);

/*@ requires searchable(networks) && \valid_read(address + (0 .. FPP_IPV4_SIZE - 1));
    assigns \result \from *networks, address[0 .. FPP_IPV4_SIZE - 1]; */
static inline int in_inet(const fpp_networks *networks, const uint8_t *address);

/*@ requires searchable(networks) && \valid_read(address + (0 .. FPP_IPV6_SIZE - 1));
    assigns \result \from *networks, address[0 .. FPP_IPV6_SIZE - 1]; */
static int in_inet6(const fpp_networks *networks, const uint8_t *address);

/*@ requires searchable(networks) && \valid_read(address + (0 .. FPP_IPV4_SIZE - 1));
    requires family != FPP_FAMILY_INET ==> \valid_read(address + (0 .. FPP_IPV6_SIZE - 1));
    assigns \result \from *networks, family, address[0 .. FPP_IPV6_SIZE - 1]; */
int fpp_in_networks(const fpp_networks *networks, int family, const uint8_t *address);
