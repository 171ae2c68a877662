/* list.h - taking a field's value apart where no quoted string stands.
 *
 * Threads: any; pure. Source: RFC 9110 sections 5.6.1 and 5.6.4.
 */
#ifndef INGRESS_LIST_H
#define INGRESS_LIST_H

#include <stdbool.h>

#include "common/slice.h"

/* Cuts the part of *rest up to the next separator that is not inside a quoted
 * string. False when *rest was used up (at == NULL). */
bool list_cut(struct slice *rest, char separator, struct slice *part);

#endif
