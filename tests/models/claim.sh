#!/usr/bin/env bash
# claim.sh - models/claim.pml keeps its promises and needs each of its rules.
#
#   tests/models/claim.sh            what ./dev test runs
#   tests/models/claim.sh FLAG...    one search: -DREPEATABLE -DCLAIMS=0, say; where one
#                                    fails, it shows how

. "$(dirname "$0")/search.sh"
export OPTIMIZE=-O1 # more takes longer to build than it saves

# What is to come of it, and the flags. The longest first.
searches() {
    cat <<'END'
nothing             -DREPEATABLE -DCLAIMS=0 -DCOMMITS=0
nothing             -DNO_CLIENT -DCLAIMS=0 -DCOMMITS=0 -DMOVES=1
nothing             -DCLAIMS=0
nothing             -DNO_CLIENT -DCOMMITS=0
nothing             -DDUP -DNO_CLIENT -DCLAIMS=0
nothing_lost        -DREPEATABLE -DNO_CLIENT -DCLAIMS=0 -DCOMMIT_ON_ACK
same_verdict        -DNO_CLIENT -DOVER_IS_STATE
nothing_lost        -DNO_CLIENT -DCLAIMS=0 -DNO_REVOKE
nothing_lost        -DNO_CLIENT -DCLAIMS=0 -DCOMMITS=0 -DNO_LEASE_CHECK
nothing_lost        -DNO_CLIENT -DCLAIMS=0 -DCOMMITS=0 -DNO_FENCE
nothing_lost        -DNO_CLIENT -DCOMMITS=0 -DNO_RECLAIM
nothing_lost        -DNO_CLIENT -DCLAIMS=0 -DCOMMITS=0 -DNO_GIVE_BACK
same_verdict        -DNO_CLIENT -DCLAIMS=0 -DPOSITION_FACT
same_verdict        -DCLAIMS=0 -DPOSITION_READ
runs_before_ending  -DREPEATABLE -DNO_CLIENT -DCLAIMS=0 -DNO_CATCH_UP
run_counts          -DNO_CLIENT -DCLAIMS=0 -DCOMMITS=0 -DNO_READ_BACK
run_counts          -DNO_CLIENT -DCLAIMS=0 -DCOMMITS=0 -DNO_FINAL
run_counts          -DNO_CLIENT -DCLAIMS=0 -DCOMMITS=0 -DEARLY_OVER
runs_alone          -DREPEATABLE -DNO_CLIENT -DCLAIMS=0 -DCOMMITS=0 -DNO_KILL
counted_out_is_out  -DNO_CLIENT -DCLAIMS=0 -DCOMMITS=0 -DLAPSED_FIRST
counted_out_is_out  -DNO_CLIENT -DCLAIMS=0 -DCOMMITS=0 -DOWN_AFTER_OVER
cancelled_stays     -DCLAIMS=0 -DCOMMITS=0 -DNO_CANCEL_AT_RETRY
same_verdict        -DDUP -DNO_CLIENT -DCLAIMS=0 -DNO_SETTLE
same_verdict        -DDUP -DNO_CLIENT -DCLAIMS=0 -DSPLIT
END
}

model_main claim.pml "$@"
