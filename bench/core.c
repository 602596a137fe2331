/* Times the C core alone, with libc's inet_pton beside it: core DIRECTORY KIND...
 *
 * Each KIND is a file of headers, "ipv4" and "ipv6" are files of addresses as text; native.py
 * writes them: records of a length (4 bytes, native order) and that many bytes. Every pass goes
 * through all records of a file; the passes of all jobs take turns, so that whatever else the
 * machine does meets all alike. Prints JSON: nanoseconds per call, median of the rounds. */
#define _POSIX_C_SOURCE 200809L

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "core.h"

enum { MAX_RECORDS = 8192, MAX_JOBS = 32, ROUNDS = 101, TRIES = 3, CRC_COUNT = 4096, CRC_SIZE = 128 };

typedef struct {
    size_t count;
    uint8_t *arena;
    const uint8_t *data[MAX_RECORDS]; /* with a NUL behind each, for inet_pton */
    size_t length[MAX_RECORDS];
    uint32_t crc[MAX_RECORDS]; /* of random_records alone */
} records;

/* Takes each record once; returns how many of them were found right. */
typedef size_t pass_function(const records *);

typedef struct {
    const char *name;
    pass_function *pass;
    records *input;
    double rounds[ROUNDS];
} job;

static void die(const char *what, const char *name)
{
    fprintf(stderr, "core: %s: %s\n", name, what);
    exit(1);
}

static size_t parse_pass(const records *input)
{
    fpp_header header;
    fpp_error why;
    size_t right = 0;
    for (size_t i = 0; i < input->count; i++)
        right += fpp_parse(input->data[i], input->length[i], FPP_MAX_SIZE, &header, &why) ==
                 FPP_STATUS_OK;
    return right;
}

static size_t pton4_pass(const records *input)
{
    struct in_addr address;
    size_t right = 0;
    for (size_t i = 0; i < input->count; i++)
        right += inet_pton(AF_INET, (const char *)input->data[i], &address) == 1;
    return right;
}

static size_t pton6_pass(const records *input)
{
    struct in6_addr address;
    size_t right = 0;
    for (size_t i = 0; i < input->count; i++)
        right += inet_pton(AF_INET6, (const char *)input->data[i], &address) == 1;
    return right;
}

static size_t crc_pass(const records *input)
{
    size_t right = 0;
    for (size_t i = 0; i < input->count; i++)
        right += fpp_crc32c(0, input->data[i], input->length[i]) == input->crc[i];
    return right;
}

static size_t crc_table_pass(const records *input)
{
    size_t right = 0;
    for (size_t i = 0; i < input->count; i++)
        right += fpp_crc32c_by_table(0, input->data[i], input->length[i]) == input->crc[i];
    return right;
}

static records *new_records(size_t room, const char *name)
{
    records *made = calloc(1, sizeof *made);
    if (made != NULL)
        made->arena = calloc(1, room);
    if (made == NULL || made->arena == NULL)
        die("no memory", name);
    return made;
}

static records *read_records(const char *directory, const char *name)
{
    char path[4096];
    if ((size_t)snprintf(path, sizeof path, "%s/%s", directory, name) >= sizeof path)
        die("path too long", name);
    FILE *file = fopen(path, "rb");
    if (file == NULL || fseek(file, 0, SEEK_END) != 0)
        die("cannot be read", name);
    long size = ftell(file);
    if (size < 0)
        die("cannot be read", name);
    rewind(file);
    records *made = new_records((size_t)size + 1, name); /* a length is longer than a NUL */
    uint8_t *at = made->arena;
    uint32_t length;
    while (made->count < MAX_RECORDS && fread(&length, sizeof length, 1, file) == 1) {
        if (fread(at, 1, length, file) != length)
            die("cut off", name);
        made->data[made->count] = at;
        made->length[made->count++] = length;
        at += length + 1;
    }
    fclose(file);
    return made;
}

static records *random_records(void)
{
    records *made = new_records(CRC_COUNT * CRC_SIZE, "crc32c");
    uint64_t state = 88172645463325252u; /* xorshift64 */
    for (size_t i = 0; i < CRC_COUNT * CRC_SIZE; i++) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        made->arena[i] = (uint8_t)state;
    }
    for (; made->count < CRC_COUNT; made->count++) {
        made->data[made->count] = made->arena + made->count * CRC_SIZE;
        made->length[made->count] = CRC_SIZE;
        made->crc[made->count] = fpp_crc32c_by_table(0, made->data[made->count], CRC_SIZE);
    }
    return made;
}

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec * 1e9 + (double)time.tv_nsec;
}

/* The quickest of a few passes in a row: the first brings the input back into the cache. */
static double time_job(const job *one)
{
    double best = 0;
    for (int i = 0; i < TRIES; i++) {
        double start = now();
        size_t right = one->pass(one->input);
        double taken = now() - start;
        if (right != one->input->count)
            die("not every record was found right", one->name);
        if (i == 0 || taken < best)
            best = taken;
    }
    return best / (double)one->input->count;
}

static int compare(const void *left, const void *right)
{
    double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

int main(int argc, char **argv)
{
    static job jobs[MAX_JOBS];
    size_t count = 0;
    if (argc < 3 || argc > MAX_JOBS - 4)
        die("core DIRECTORY KIND...", "usage");
    for (int i = 2; i < argc; i++)
        jobs[count++] = (job){argv[i], parse_pass, read_records(argv[1], argv[i]), {0}};
    jobs[count++] = (job){"inet_pton(AF_INET)", pton4_pass, read_records(argv[1], "ipv4"), {0}};
    jobs[count++] = (job){"inet_pton(AF_INET6)", pton6_pass, read_records(argv[1], "ipv6"), {0}};
    records *buffers = random_records();
    jobs[count++] = (job){"crc32c", crc_pass, buffers, {0}};
    jobs[count++] = (job){"crc32c by table", crc_table_pass, buffers, {0}};

    for (int round = 0; round < ROUNDS; round++)
        for (size_t i = 0; i < count; i++)
            jobs[i].rounds[round] = time_job(&jobs[i]);
    printf("{\"crc32c\": \"%s\", \"times\": {", fpp_crc32c_kind());
    for (size_t i = 0; i < count; i++) {
        qsort(jobs[i].rounds, ROUNDS, sizeof jobs[i].rounds[0], compare);
        printf("%s\n \"%s\": %.3f", i > 0 ? "," : "", jobs[i].name, jobs[i].rounds[ROUNDS / 2]);
    }
    puts("}}");
    return 0;
}
