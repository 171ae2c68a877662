/* rig_kafka.h - the rig's settings and topics on Kafka.
 *
 * The environment says that there is one, and goes on to the processes that a
 * test starts.
 */
#ifndef TESTS_CONFORMANCE_RIG_KAFKA_H
#define TESTS_CONFORMANCE_RIG_KAFKA_H

#include "tests/conformance/rig.h"

/* From now on everything is on the Kafka whose servers stand in that file. */
void rig_use_kafka(const char *file);
/* The one that ctest started for the tests of this build (TEST_BUILD). */
void rig_use_test_kafka(void);
bool rig_is_on_kafka(void);

/* The settings of a rig that has its directory. */
void rig_kafka_fill(struct rig *rig);
/* Makes the topics as the settings are now. */
void rig_kafka_make(struct rig *rig);
void rig_kafka_remove(struct rig *rig);
/* Those of the whole run, whose tests may have failed before they did. */
void rig_kafka_remove_all(void);

#endif
