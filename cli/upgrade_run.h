/* upgrade_run.h - takes an upgrade through its steps, forward or back.
 *
 *     PAUSING -> MIGRATING -> STARTING -> VERIFYING -> open on the next release
 *        |           |           |            |
 *        |           +-----------+------------+--> ROLLING_BACK
 *        |                  a step fails                |
 *        v                                              v
 *     open on the old release <-------------------------+
 *
 * I1: a step is recorded in all queues, in one change, before it is begun; one
 * that has no command (MIGRATING, VERIFYING, ROLLING_BACK) is left out.
 * I2: so whoever goes on from the recorded step does nothing twice but commands
 * that were running.
 * I3: a command runs only while the queues are held; when somebody opens one by
 * force it is killed and nothing more is done.
 * I4: where ROLLING_BACK fails the queues stay held.
 *
 * Threads: the main thread.
 */
#ifndef CLI_UPGRADE_RUN_H
#define CLI_UPGRADE_RUN_H

#include "broker/broker.h"
#include "cli/upgrade_plan.h"

struct upgrade_run_options {
    const struct command *command;
    const struct settings *settings;
    struct broker *broker; /* guarded */
    const struct upgrade_wish *wish;
    const struct upgrade_plan *plan; /* BEGINS or GOES_ON */
    int signals; /* a signalfd, not blocking, of what asks us to stop */
};

/* Tells each step on stdout, and what stopped it on stderr. The exit code. */
int upgrade_run(const struct upgrade_run_options *options);

#endif
