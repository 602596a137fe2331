/* Gives a harness its inputs without libFuzzer: replay FILE... */
#include <stdio.h>

#include "harness.h"

static uint8_t *contents_of(const char *path, size_t *size)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL || fseek(file, 0, SEEK_END) != 0) {
        perror(path);
        exit(2);
    }
    *size = (size_t)ftell(file);
    rewind(file);
    uint8_t *bytes = exactly(*size);
    if (fread(bytes, 1, *size, file) != *size) {
        perror(path);
        exit(2);
    }
    fclose(file);
    return bytes;
}

int main(int count, char **arguments)
{
    for (int i = 1; i < count; i++) {
        size_t size;
        uint8_t *bytes = contents_of(arguments[i], &size);
        LLVMFuzzerTestOneInput(bytes, size);
        free(bytes);
    }
    return 0;
}
