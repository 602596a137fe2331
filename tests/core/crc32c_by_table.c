/* crc32c.c as it is for a processor without the instruction: the headers of the system must still
 * know what they are compiled for, so it is forgotten behind them. */
#include <string.h>

#include "core.h"

#undef __x86_64__
#undef __aarch64__

#include "crc32c.c"
