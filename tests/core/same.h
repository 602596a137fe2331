/* Whether two headers say the same: for the test program and for the fuzzers' harnesses. */
#ifndef SAME_H
#define SAME_H

#include <string.h>

#include "fastppv2.h"

static inline int same_span(fpp_span left, fpp_span right)
{
    return left.offset == right.offset && left.length == right.length;
}

/* Those of one header, wherever it lies. */
static inline int same_header(const fpp_header *left, const fpp_header *right)
{
    return left->size == right->size && left->version == right->version &&
           left->command == right->command && left->family == right->family &&
           left->transport == right->transport && left->source_port == right->source_port &&
           left->destination_port == right->destination_port &&
           memcmp(left->source, right->source, sizeof left->source) == 0 &&
           memcmp(left->destination, right->destination, sizeof left->destination) == 0 &&
           same_span(left->source_path, right->source_path) &&
           same_span(left->destination_path, right->destination_path) &&
           same_span(left->tlvs, right->tlvs);
}

#endif
