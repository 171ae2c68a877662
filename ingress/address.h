/* address.h - socket addresses as text, and listening on one.
 *
 * Threads: any.
 */
#ifndef INGRESS_ADDRESS_H
#define INGRESS_ADDRESS_H

#include "common/error.h"
#include "common/settings.h"

#define ADDRESS_SIZE 64 /* "[address]:port" and a NUL */

/* Of a connected socket: "192.0.2.1:50000", "[2001:db8::1]:80"; "" if unknown.
 */
void address_of_peer(int fd, char text[ADDRESS_SIZE]);
void address_of_local(int fd, char text[ADDRESS_SIZE]);

/* A listening socket, non-blocking and CLOEXEC; or an error that names the
 * address and says what to do. key is the setting's name. */
int address_listen(const struct address *address, const char *key,
                   struct error *err);

#endif
