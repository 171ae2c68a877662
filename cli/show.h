/* show.h - tickets and responses, for people and for scripts.
 *
 * Threads: any.
 */
#ifndef CLI_SHOW_H
#define CLI_SHOW_H

#include <jansson.h>
#include <stddef.h>

#include "cli/ask.h"
#include "cli/cli.h"

/* "350ms", "12s", "3m12s", "2h05m", "4d03h"; below 0 is shown as 0. */
#define SHOW_SPAN_SIZE 24
const char *show_span(span_ms span, char text[SHOW_SPAN_SIZE]);

/* Prints it, and lets it go. 0, or -EIO when stdout is not to be written. */
int show_json(json_t *object);

/* The ticket's status document, as the ingress gives it. The caller's. */
json_t *show_ticket_json(const struct ticket *ticket,
                         const struct ticket_status *status);
/* The same as lines. */
void show_ticket(const struct ticket *ticket,
                 const struct ticket_status *status);

/* How a response is printed: its body as it is, the whole message, or the
 * ticket with status, fields and body (body_base64 where it is no UTF-8). */
enum show_form { SHOW_BODY, SHOW_MESSAGE, SHOW_JSON };

/* Prints the response that was looked up. more: further members of the JSON,
 * taken; NULL: none. The exit code, by its status. */
int show_stored(const struct command *command, const struct lookup *lookup,
                enum show_form form, json_t *more);

/* Waits for the ticket's response and prints it: its body, or JSON. limit
 * below 0: as long as it takes. What is missing is told on stderr. The exit
 * code: by the response's status, or why there is none. */
int show_response(const struct command *command, struct ask *ask,
                  const struct ticket *ticket, span_ms limit, bool json);

#endif
