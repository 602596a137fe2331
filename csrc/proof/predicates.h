/* The words that the contracts and the loops of the core use. */
#ifndef PROOF_PREDICATES_H
#define PROOF_PREDICATES_H

#include "core.h"

/*@ // A view of the input, and a span of it.
    predicate readable(fpp_view view) =
        view.length <= FPP_MAX_SIZE && \valid_read(view.data + (0 .. view.length - 1));
    predicate has(fpp_view view, integer offset, integer count) =
        readable(view) && 0 <= offset && 0 <= count && offset + count <= view.length;
    predicate holds(uint8_t *data, fpp_span span) =
        span.offset + span.length <= FPP_MAX_SIZE &&
        \valid_read(data + (0 .. span.offset + span.length - 1));
    predicate apart{L}(fpp_view view, void *at, integer size) =
        \separated(view.data + (0 .. view.length - 1), (uint8_t *)at + (0 .. size - 1)); */

/*@ // What fpp_parse gives: every span lies in the header, and the header in the input.
    predicate within(fpp_span span, integer size) = span.offset + span.length <= size;
    predicate is_header(fpp_header header, integer length) =
        header.size <= length && header.size <= FPP_MAX_SIZE &&
        within(header.source_path, header.size) && within(header.destination_path, header.size) &&
        within(header.tlvs, header.size); */

/*@ // What TLVs take in a header.
    logic integer size_of_tlvs{L}(fpp_tlv_in *tlvs, integer count) =
        count <= 0 ? 0
                   : size_of_tlvs(tlvs, count - 1) + FPP_TLV_HEAD_SIZE + tlvs[count - 1].length;
    predicate each_within{L}(fpp_tlv_in *tlvs, integer count, integer size) =
        \forall integer k; 0 <= k < count ==>
            0 <= size_of_tlvs(tlvs, k) <= size - FPP_TLV_HEAD_SIZE - tlvs[k].length;
    predicate readable_tlvs{L}(fpp_tlv_in *tlvs, integer count) =
        \valid_read(tlvs + (0 .. count - 1)) &&
        \forall integer k; 0 <= k < count ==>
                             \valid_read(tlvs[k].value + (0 .. tlvs[k].length - 1));
    predicate apart_from_tlvs{L}(uint8_t *out, integer size, fpp_tlv_in *tlvs, integer count) =
        \separated(out + (0 .. size - 1), tlvs + (0 .. count - 1)) &&
        \forall integer k; 0 <= k < count ==>
                             \separated(out + (0 .. size - 1),
                                        tlvs[k].value + (0 .. tlvs[k].length - 1)); */

/*@ // What fpp_order_networks makes.
    predicate searchable{L}(fpp_networks *networks) =
        \valid_read(networks) && networks->inet <= networks->count &&
        \valid_read(networks->networks + (0 .. networks->count - 1)) &&
        \valid_read(networks->starts + (0 .. networks->inet + FPP_NETWORKS_ROOM - 2)) &&
        \valid_read(networks->ends + (0 .. networks->inet)); */

#endif
