/* refusal.h - why Cloakroom itself says no.
 *
 * Threads: any; a value.
 */
#ifndef INGRESS_REFUSAL_H
#define INGRESS_REFUSAL_H

struct refusal {
    int status;
    const char *code;   /* a stable word, as in problem+json */
    const char *detail; /* what was wrong and what to do */
    const char *allow;  /* the methods that would do, with a 405; else NULL */
};

/* Fills and gives -EINVAL, so that `return refuse(...)` reads well. */
int refuse(struct refusal *refusal, int status, const char *code,
           const char *detail);

#endif
