/* hello.c - the smallest honest CGI program: reads its body, answers 100 bytes.
 *
 * The same program runs behind Cloakroom and behind nginx with fcgiwrap.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int
main(void)
{
    const char *length = getenv("CONTENT_LENGTH");
    long left = length != NULL ? atol(length) : 0;
    char piece[4096];

    while (left > 0) {
        ssize_t n = read(STDIN_FILENO, piece, sizeof(piece));
        if (n <= 0)
            return 1;
        left -= n;
    }
    fputs("Content-Type: application/json\r\n\r\n"
          "{\"ok\":true,\"id\":\"0123456789abcdef0123456789abcdef\",\"pad\":"
          "\"yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\"}",
          stdout);
    return 0;
}
