/* clock.h - the three clocks, each with a type of its own.
 *
 * mono_ms orders things within a process, boot_ms is the same for all
 * processes of one boot and counts suspend (leases), wall_ms is for people.
 *
 * Threads: any.
 */
#ifndef COMMON_CLOCK_H
#define COMMON_CLOCK_H

#include <stddef.h>
#include <stdint.h>

typedef int64_t mono_ms; /* CLOCK_MONOTONIC */
typedef int64_t boot_ms; /* CLOCK_BOOTTIME */
typedef int64_t wall_ms; /* CLOCK_REALTIME, since 1970 */
typedef int64_t span_ms; /* a length of time */

mono_ms clock_mono(void);
boot_ms clock_boot(void);
wall_ms clock_wall(void);

/* The kernel's id of this boot, 36 characters and a NUL. */
const char *clock_boot_id(void);

/* RFC 3339 in UTC with milliseconds, "2026-11-22T07:00:00.000Z". */
#define CLOCK_TEXT_SIZE 25
void clock_format(wall_ms t, char text[CLOCK_TEXT_SIZE]);

/* IMF-fixdate (RFC 9110 section 5.6.7), "Sun, 22 Nov 2026 07:00:00 GMT". */
#define CLOCK_HTTP_SIZE 30
void clock_format_http(wall_ms t, char text[CLOCK_HTTP_SIZE]);

/* Tests only: from now on all three clocks run this much ahead; and the wall
 * clock alone, as when somebody sets it. */
void clock_shift(span_ms by);
void clock_set_wall(span_ms by);

#endif
