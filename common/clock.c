/* clock.c - the three clocks. */
#include "common/clock.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static _Atomic span_ms shift;      /* of all three */
static _Atomic span_ms wall_shift; /* besides */

static int64_t
read_clock(clockid_t id)
{
    struct timespec t;

    clock_gettime(id, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000 +
           atomic_load_explicit(&shift, memory_order_relaxed);
}

mono_ms
clock_mono(void)
{
    return read_clock(CLOCK_MONOTONIC);
}

boot_ms
clock_boot(void)
{
    return read_clock(CLOCK_BOOTTIME);
}

wall_ms
clock_wall(void)
{
    return read_clock(CLOCK_REALTIME) + atomic_load(&wall_shift);
}

void
clock_shift(span_ms by)
{
    atomic_fetch_add(&shift, by);
}

void
clock_set_wall(span_ms by)
{
    atomic_fetch_add(&wall_shift, by);
}

static char boot_id[37];

static void
read_boot_id(void)
{
    FILE *file = fopen("/proc/sys/kernel/random/boot_id", "re");

    if (file == NULL || fgets(boot_id, sizeof(boot_id), file) == NULL)
        strcpy(boot_id, "00000000-0000-0000-0000-000000000000");
    if (file != NULL)
        fclose(file);
}

const char *
clock_boot_id(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    pthread_once(&once, read_boot_id);
    return boot_id;
}

/* The broken-down time in UTC, and the milliseconds past it. */
static unsigned
split(wall_ms t, struct tm *tm)
{
    int64_t ms = ((t % 1000) + 1000) % 1000;
    time_t seconds = (time_t)((t - ms) / 1000);

    gmtime_r(&seconds, tm);
    return (unsigned)ms;
}

void
clock_format(wall_ms t, char text[CLOCK_TEXT_SIZE])
{
    struct tm tm;
    unsigned ms = split(t, &tm);

    size_t len = strftime(text, CLOCK_TEXT_SIZE, "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(text + len, CLOCK_TEXT_SIZE - len, ".%03uZ", ms);
}

void
clock_format_http(wall_ms t, char text[CLOCK_HTTP_SIZE])
{
    static const char days[][4] = {"Sun", "Mon", "Tue", "Wed",
                                   "Thu", "Fri", "Sat"};
    static const char months[][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                     "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    struct tm tm;

    split(t, &tm);
    snprintf(text, CLOCK_HTTP_SIZE, "%s, %02u %s %04u %02u:%02u:%02u GMT",
             days[tm.tm_wday % 7], (unsigned)tm.tm_mday % 100,
             months[tm.tm_mon % 12], (unsigned)(tm.tm_year + 1900) % 10000,
             (unsigned)tm.tm_hour % 100, (unsigned)tm.tm_min % 100,
             (unsigned)tm.tm_sec % 100);
}
