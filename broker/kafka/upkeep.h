/* upkeep.h - what an ingress sees to, once a second: requests past their ttl,
 * runs whose session is over, what was kept long enough, and once a minute the
 * log itself, which is cut below what anything rests on.
 *
 * Threads: the follower's.
 */
#ifndef BROKER_KAFKA_UPKEEP_H
#define BROKER_KAFKA_UPKEEP_H

#include "broker/kafka/follow_priv.h"

struct upkeep *upkeep_new(void);
void upkeep_free(struct upkeep *upkeep);
/* 0, or what failed in the view. */
int upkeep_run(struct follow *follow, mono_ms now);
/* When it is due. */
mono_ms upkeep_next(const struct follow *follow);

#endif
