/* MAP_ANONYMOUS is in no standard. */
#define _DEFAULT_SOURCE
#define _DARWIN_C_SOURCE

#include "guarded.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static size_t page_size(void)
{
    return (size_t)sysconf(_SC_PAGESIZE);
}

guarded guarded_open(size_t room)
{
    size_t page = page_size();
    size_t pages = room / page + 1;
    uint8_t *base = mmap(NULL, (pages + 2) * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (base == MAP_FAILED || mprotect(base + page, pages * page, PROT_READ | PROT_WRITE) != 0) {
        perror("guarded_open");
        exit(2);
    }
    guarded region = {base + page, pages * page};
    return region;
}

void guarded_close(guarded region)
{
    munmap(region.first - page_size(), region.room + 2 * page_size());
}

static uint8_t *place(uint8_t *at, const void *bytes, size_t size)
{
    if (size > 0)
        memmove(at, bytes, size);
    return at;
}

uint8_t *guarded_at_end(guarded region, const void *bytes, size_t size)
{
    return place(region.first + region.room - size, bytes, size);
}

uint8_t *guarded_at_start(guarded region, const void *bytes, size_t size)
{
    return place(region.first, bytes, size);
}

static const char *crash_subject;

enum { SIGNALS = 3 };
static const int SIGNAL[SIGNALS] = {SIGSEGV, SIGBUS, SIGABRT}; /* a guard, or an assertion */
static struct sigaction before[SIGNALS];

/* Returning repeats the access, now for whoever handled crashes before: a sanitizer that prints
 * the stack, or nobody. */
static void on_crash(int number)
{
    static const char CRASHED[] = "\ncrashed at: ";
    if (write(STDOUT_FILENO, CRASHED, sizeof CRASHED - 1) < 0 ||
        write(STDOUT_FILENO, crash_subject, strlen(crash_subject)) < 0 ||
        write(STDOUT_FILENO, "\n", 1) < 0)
        _exit(3);
    for (size_t i = 0; i < SIGNALS; i++)
        if (SIGNAL[i] == number)
            sigaction(number, &before[i], NULL);
}

void guarded_name_crashes(const char *subject)
{
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = on_crash;
    crash_subject = subject;
    for (size_t i = 0; i < SIGNALS; i++)
        sigaction(SIGNAL[i], &action, &before[i]);
}
