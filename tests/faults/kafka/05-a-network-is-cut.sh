#!/usr/bin/env bash
# An ingress and workers in network namespaces of their own are cut off from the
# brokers and joined again: what they send is dropped, what they hear, or both,
# shorter than the lease and far longer. A cut ingress says 503 in time and the
# other one answers; a cut worker's handlers are dead before its lease is over,
# and only what it ran runs again.
. "$(dirname "$0")/lib.sh"
lease=10

[ "$(id -u)" = 0 ] || die "network namespaces want root"
command -v nft >/dev/null || die "no nft: apt-get install nftables"
spaces=(one a b)
net=cf$$ # names of links are short
subnet=10.213.$((RANDOM % 200 + 20))
ip link add ${net}br type bridge
ip addr add $subnet.1/24 dev ${net}br
ip link set ${net}br up
declare -A host=()
for i in "${!spaces[@]}"; do
    name=${spaces[i]}
    host[$name]=$subnet.$((i + 2))
    ip netns add $net-$name
    ip link add $net$i type veth peer name eth0 netns $net-$name
    ip link set $net$i master ${net}br up
    ip -n $net-$name addr add "${host[$name]}/24" dev eth0
    ip -n $net-$name link set eth0 up
    ip -n $net-$name link set lo up
done
end_networks() {
    for i in "${!spaces[@]}"; do ip netns del "$net-${spaces[i]}"; done
    ip link del ${net}br
}
eval "$(declare -f at_end | sed '1s/at_end/end_brokers/')"
at_end() { end_brokers; end_networks; }

inside() {
    [[ " ${spaces[*]} " != *" $1 "* ]] || echo "ip netns exec $net-$1"
}

# cut NAME in|out|both: drops what it hears from the brokers, tells them, or both
cut() {
    local rules="add table inet cut;"
    [ "$2" = in ] || rules+="add chain inet cut out {type filter hook output priority 0;};
        add rule inet cut out tcp dport ${servers_ports} drop;"
    [ "$2" = out ] || rules+="add chain inet cut in {type filter hook input priority 0;};
        add rule inet cut in tcp sport ${servers_ports} drop;"
    ip netns exec $net-$1 nft "$rules"
    say "$1 is cut off: $2"
}
join() {
    ip netns exec $net-$1 nft delete table inet cut
    say "$1 is joined"
}

brokers_up --host $subnet.1
first=${servers%%,*} last=${servers##*,}
servers_ports=${first##*:}-${last##*:}
ingress one "${host[one]}"
ingress two
worker a
worker b
worker c
clients
goes_on

# Shorter than the lease: nothing runs again.
for how in out in both; do
    cut a $how
    sleep 3 # it is cut off for as long as said
    join a
    goes_on 30
done
ran_twice() { awk '$1 == "start" {print $5}' "$marks/runs" | sort | uniq -d; }
is "what ran again after a short cut" "" "$(ran_twice)"

# Longer: the worker is given up, its handlers are dead before that, and it comes
# again by itself.
losses=yes
runs_some() { [ -n "$(handlers_of "$1")" ]; }
runs_none() { [ -z "$(handlers_of "$1")" ]; }
for how in both out in; do
    for name in a b; do
        await 40 runs_some $name
        cut $name $how
        sleep $lease # longer, by what follows
        holds "what $name ran is dead" runs_none $name
        goes_on 30
        join $name
    done
done
for name in a b; do await 60 runs_some $name; done

# An ingress: 503 in time, and all is well again.
at_one() { # sets $status and $took
    local begun=${EPOCHREALTIME/./}
    status=$(curl -s -m 60 -o "$body" -w '%{http_code}' -d x \
        -H 'Prefer: respond-async' "http://${at[one]}/work?0")
    took=$(((${EPOCHREALTIME/./} - begun) / 1000))
}
ready_is_not() { ! says_ready one; }
for how in both out in; do
    cut one $how
    for i in 1 2 3; do
        at_one
        among "cut $how, question $i" "503" "$status"
        holds "in time: $took ms" test "$took" -lt $((patience * 1000 + 2500))
    done
    await 60 ready_is_not
    goes_on 30
    join one
    await 30 says_ready one
    accepted() { at_one; [ "$status" = 202 ]; }
    await 30 accepted
    goes_on 30
done
audit
everything_stops
