#!/usr/bin/env bash
# pause.sh - models/pause.pml keeps its promises and needs each of its rules.
#
#   tests/models/pause.sh            what ./dev test runs
#   tests/models/pause.sh FLAG...    one search: -DKAFKA -DLAST=4, say; where one
#                                    fails, it shows how

. "$(dirname "$0")/search.sh"

# What is to come of it, and the flags. The longest first.
searches() {
    cat <<'END'
nothing            -DKAFKA -DLAST=3
nothing            -DLAST=5
nothing            -DKAFKA -DLAST=4 -DNO_PROBE
nothing            -DKAFKA -DLIVE -DLAST=3 -DNO_PROBE
nothing            -DLIVE -DLAST=2
nothing            -DKAFKA -DREMOTE -DLAST=2
P5_holds           -DKAFKA -DLAST=2 -DBREAK=FINAL
P5_holds           -DLAST=3 -DBREAK=FINAL
P5_holds           -DLAST=2 -DBREAK=KILL
P5_holds           -DLAST=2 -DBREAK=MARGIN
P5_holds           -DLAST=2 -DBREAK=DIED
P5_holds           -DREMOTE -DLAST=2 -DBREAK=TIMEOUT
P5_holds           -DLAST=2 -DBREAK=IDLE_TAKEN
P5_holds           -DLAST=2 -DBREAK=IDLE_RUNNING
P5_holds           -DLAST=2 -DBREAK=IDLE_LEAVE
P5_holds           -DKAFKA -DLAST=3 -DNO_PROBE -DBREAK=SAME_EPOCH
P5_holds           -DLAST=2 -DBREAK=SESSION
P5_holds           -DKAFKA -DLAST=2 -DNO_PROBE -DBREAK=HELLO
P5_holds_at_take   -DLAST=2 -DBREAK=IN_TAKE
P6_holds           -DLAST=2 -DBREAK=RELEASE
P6_holds           -DLAST=2 -DBREAK=DRAIN_FIRST
P6_holds           -DLAST=3 -DBREAK=CAS
P5_holds           -DKAFKA -DLAST=3 -DNO_PROBE -DBREAK=DRAIN_EPOCH
P5_holds           -DKAFKA -DLAST=2 -DBREAK=PROBE_ENDS
P6_holds           -DLAST=3 -DBREAK=PROBE_WAITS
P5_holds           -DLAST=2 -DBREAK=PROBE_HELLO
P7_holds           -DLAST=2 -DBREAK=FENCE
migration_is_alone -DLAST=3 -DBREAK=HOLD
migration_is_alone -DLAST=3 -DBREAK=HOLD_PROBE
end                -DLIVE -DLAST=2 -DBREAK=COUNT_OUT
end                -DLIVE -DLAST=2 -DBREAK=BARRIER
end                -DLIVE -DLAST=2 -DBREAK=OVERTAKEN
END
}

model_main pause.pml "$@"
