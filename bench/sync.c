/* sync.c - what one synced append costs on this disk.
 *
 * bench_sync FILE SECONDS [over]: writes 4 KiB and waits for fdatasync, again
 * and again, into a growing file, or with "over" over a file that was written
 * before (its blocks are there, as those of a log that is used again). One JSON
 * line on stdout, times in microseconds. FILE is removed.
 */
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { PAGE = 4096, PAGES_MAX = 65536 };

static char page[PAGE];
static int64_t took[PAGES_MAX]; /* ns, one for each append */

static int64_t
now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static int
by_size(const void *a, const void *b)
{
    const int64_t *x = a, *y = b;

    return *x < *y ? -1 : *x > *y;
}

static void
fail(const char *what)
{
    perror(what);
    exit(1);
}

/* Gives the file its blocks, written and on the disk. */
static void
prepare(int fd)
{
    for (int i = 0; i < PAGES_MAX; i++)
        if (write(fd, page, PAGE) != PAGE)
            fail("write");
    if (fsync(fd) < 0 || lseek(fd, 0, SEEK_SET) < 0)
        fail("fsync");
}

/* Appends until the time or the file is over; how many it were. */
static size_t
append_for(int fd, double seconds)
{
    const int64_t until = now_ns() + (int64_t)(seconds * 1e9);
    size_t n = 0;

    while (n < PAGES_MAX && now_ns() < until) {
        const int64_t start = now_ns();
        if (write(fd, page, PAGE) != PAGE)
            fail("write");
        if (fdatasync(fd) < 0)
            fail("fdatasync");
        took[n++] = now_ns() - start;
    }
    return n;
}

int
main(int argc, char **argv)
{
    size_t n;
    int fd;

    if (argc < 3) {
        fprintf(stderr, "usage: %s FILE SECONDS [over]\n", argv[0]);
        return 64;
    }
    fd = open(argv[1], O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0600);
    if (fd < 0)
        fail(argv[1]);
    unlink(argv[1]);
    memset(page, 'x', sizeof(page));
    if (argc > 3 && strcmp(argv[3], "over") == 0)
        prepare(fd);
    n = append_for(fd, atof(argv[2]));
    if (n == 0)
        fail("no append in this time");
    qsort(took, n, sizeof(took[0]), by_size);
    const size_t middle = n / 2, high = n * 99 / 100;
    printf("{\"n\":%zu,\"p50\":%.1f,\"p99\":%.1f}\n", n,
           (double)took[middle] / 1e3, (double)took[high] / 1e3);
    return 0;
}
