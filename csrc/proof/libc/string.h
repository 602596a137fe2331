/* What is assumed of libc's functions on memory: C11 7.24, in terms of bytes. Frama-C's own header
 * says it in terms of char, and its two analysers take arrays of uint8_t and of char for memory
 * that has nothing in common, so what is written is named for both. */
#ifndef PROOF_STRING_H
#define PROOF_STRING_H

#include <stddef.h>
#include <stdint.h>

/*@ predicate bytes(void *at, integer size) = \valid_read((uint8_t *)at + (0 .. size - 1));
    predicate room(void *at, integer size) = \valid((uint8_t *)at + (0 .. size - 1)); */

/*@ requires room: room(to, size);
    requires bytes: bytes(from, size);
    requires apart: \separated((uint8_t *)to + (0 .. size - 1), (uint8_t *)from + (0 .. size - 1));
    assigns ((uint8_t *)to)[0 .. size - 1] \from ((uint8_t *)from)[0 .. size - 1];
    assigns ((char *)to)[0 .. size - 1] \from ((uint8_t *)from)[0 .. size - 1];
    assigns \result \from to;
    ensures \result == to; */
void *memcpy(void *restrict to, const void *restrict from, size_t size);

/*@ requires room: room(to, size);
    requires bytes: bytes(from, size);
    assigns ((uint8_t *)to)[0 .. size - 1] \from ((uint8_t *)from)[0 .. size - 1];
    assigns ((char *)to)[0 .. size - 1] \from ((uint8_t *)from)[0 .. size - 1];
    assigns \result \from to;
    ensures \result == to; */
void *memmove(void *to, const void *from, size_t size);

/*@ requires room: room(to, size);
    assigns ((uint8_t *)to)[0 .. size - 1] \from byte;
    assigns ((char *)to)[0 .. size - 1] \from byte;
    assigns \result \from to;
    ensures \result == to; */
void *memset(void *to, int byte, size_t size);

/*@ requires bytes: bytes(left, size) && bytes(right, size);
    assigns \result \from ((uint8_t *)left)[0 .. size - 1], ((uint8_t *)right)[0 .. size - 1]; */
int memcmp(const void *left, const void *right, size_t size);

/*@ requires bytes: bytes(at, size);
    assigns \result \from at, ((uint8_t *)at)[0 .. size - 1], byte;
    ensures \result == \null ||
            \exists integer i; 0 <= i < size && \result == (uint8_t *)at + i; */
void *memchr(const void *at, int byte, size_t size);

#endif
