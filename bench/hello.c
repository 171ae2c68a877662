/* hello.c - the smallest honest CGI program: reads its body, answers 100 bytes.
 *
 * The same program runs behind Cloakroom and behind nginx with fcgiwrap. With
 * STARTS in the environment it first appends to that file when it began: the
 * wall clock in ns, 8 bytes. With SLEEP_MS it sleeps so long before it answers.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static int
tell_start(const char *path)
{
    struct timespec t;

    clock_gettime(CLOCK_REALTIME, &t);
    const int64_t now = t.tv_sec * 1000000000LL + t.tv_nsec;
    const int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    return write(fd, &now, sizeof(now)) == sizeof(now) ? 0 : -1;
}

static void
sleep_ms(long ms)
{
    nanosleep(
        &(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000},
        NULL);
}

int
main(void)
{
    const char *length = getenv("CONTENT_LENGTH");
    long left = length != NULL ? atol(length) : 0;
    const char *starts = getenv("STARTS");
    const char *sleeps = getenv("SLEEP_MS");
    char piece[4096];

    if (starts != NULL && tell_start(starts) < 0)
        return 1;
    while (left > 0) {
        ssize_t n = read(STDIN_FILENO, piece, sizeof(piece));
        if (n <= 0)
            return 1;
        left -= n;
    }
    if (sleeps != NULL)
        sleep_ms(atol(sleeps));
    fputs("Content-Type: application/json\r\n\r\n"
          "{\"ok\":true,\"id\":\"0123456789abcdef0123456789abcdef\",\"pad\":"
          "\"yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\"}",
          stdout);
    return 0;
}
