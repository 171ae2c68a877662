/* hello.c - the smallest CGI program, for measuring what a run costs. */
#include <stdio.h>

int
main(void)
{
    fputs("Content-Type: text/plain\n\nhello\n", stdout);
    return 0;
}
