/* asked.c - was a process told once or twice to stop? */
#include "common/asked.h"

enum asked_how
asked_now(struct asked *asked)
{
    const mono_ms now = clock_mono();

    if (asked->first == 0) {
        asked->first = now;
        return ASKED_FIRST;
    }
    return now - asked->first < ASKED_ECHO_SPAN ? ASKED_ECHO : ASKED_AGAIN;
}
