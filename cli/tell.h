/* tell.h - control states and receipts, in words.
 *
 * What operators and workers said of themselves is shown without its control
 * characters: it must not move the reader's cursor.
 *
 * Threads: any; prints on stdout.
 */
#ifndef CLI_TELL_H
#define CLI_TELL_H

#include "broker/broker.h"

/* "2026-11-25T18:17:18Z" */
#define TELL_TIME_SIZE 24
const char *tell_time(wall_ms t, char text[TELL_TIME_SIZE]);

/* A copy without control characters, cut to the size. */
#define TELL_SIZE 256
const char *tell_clean(const char *given, char text[TELL_SIZE]);

/* "open", "paused 3m", "drained", "probing"; an open queue that takes no
 * requests is "refusing". */
#define TELL_STATE_SIZE 32
const char *tell_state(const struct control *control, wall_ms now,
                       char text[TELL_STATE_SIZE]);

/* "since 2026-11-25T18:17:18Z by ann@host: words", of a pause or resume. */
#define TELL_SIGN_SIZE (TELL_SIZE * 2 + 64)
const char *tell_sign(const struct control *control, char text[TELL_SIGN_SIZE]);

/* The receipt of a "drained" record, in lines. */
void tell_receipt(const struct history *record);
/* The same as it is stored, but indented; without a line's end. */
void tell_receipt_json(const struct history *record);
/* Its facts in a line: "2 workers acknowledged, 1 died; 3 attempts ended". The
 * text is the caller's. */
char *tell_receipt_line(const char *receipt);

#endif
