/* The whole core with its contracts, one translation unit as in the extension. */
#include "predicates.h"

#include "fastppv2_all.h"

#include "contracts.h"
