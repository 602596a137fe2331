/* The whole core as one translation unit, so that calls between its files vanish: for exactly one
 * file of a program that does not compile the .c files by themselves. */
#ifndef FASTPPV2_ALL_H
#define FASTPPV2_ALL_H

#include "address.c"
#include "build.c"
#include "crc32c.c"
#include "networks.c"
#include "parse.c"
#include "tlv.c"
#include "v1.c"
#include "v2.c"

#endif
