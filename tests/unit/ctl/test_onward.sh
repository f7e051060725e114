#!/bin/sh
# The program itself, without a mount: usage, exit status, words, colours. TAP.
# test_onward.sh ONWARD
set -u
onward=$(realpath "$1")
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
unset ONWARD_MOUNT NO_COLOR
n=0

# expect NAME STATUS WORDS COMMAND…: runs it in $dir; WORDS must be in what it prints
expect() {
    name=$1 status=$2 words=$3
    shift 3
    n=$((n + 1))
    said=$(cd "$dir" && "$@" 2>&1)
    got=$?
    case $said in
    *"$words"*) [ $got -eq "$status" ] && echo "ok $n - $name" && return ;;
    esac
    echo "not ok $n - $name"
    echo "# status $got, wanted $status; said: $said" | tr '\n' ' '
    echo
}

mkdir "$dir/tree" "$dir/tree/sites"
printf 'SITE  TEAM  STATE  DEPLOYED  DESIRED  SINCE\ns1  t  in-sync  -  -  -\n' >"$dir/tree/fleet"

expect "no verb is a usage error" 2 "which verb" "$onward"
expect "an unknown verb is a usage error" 2 'no verb "frob"' "$onward" frob
expect "an unknown option is a usage error" 2 "has no option" "$onward" status --frob
expect "help needs no mount" 0 "Usage: onward [-C DIR] commit" "$onward" commit --help
expect "help of a verb by name" 0 "make a workspace" "$onward" help new
expect "the version" 0 "onward " "$onward" --version
expect "a directory that is not there" 1 "No such file" "$onward" -C nowhere status
expect "a directory outside of any mount" 1 "not inside an onwardfs mount" "$onward" -C "$dir" status
expect "a tree by ONWARD_MOUNT, without colours into a pipe" 0 "s1    t     in-sync" env ONWARD_MOUNT="$dir/tree" "$onward" status
expect "no tree by ONWARD_MOUNT" 1 "no onwardfs mount" env ONWARD_MOUNT="$dir" "$onward" status
mkdir -p "$dir/tree/proposals/7"
printf 'proposal: 7\nauthor: Ann <a@x>\nworkspace: fix\nbase: none\nbehind: 3\nneeded: 2\n' >"$dir/tree/proposals/7/status"
printf 'why\n\nmore\n' >"$dir/tree/proposals/7/message"
printf 'Bob <b@x> 2026-01-01T00:00:00Z looks good\nCay <c@x> 2026-01-02T00:00:00Z\n' >"$dir/tree/proposals/7/approvals"
printf -- '+x\n' >"$dir/tree/proposals/7/diff"
expect "proposals in a table" 0 "7         Ann <a@x>  fix        2 of 2     3       why" \
    env ONWARD_MOUNT="$dir/tree" "$onward" list --proposals
expect "a proposal with its approvals" 0 "Bob <b@x>: looks good" env ONWARD_MOUNT="$dir/tree" "$onward" show proposal 7
expect "a proposal for programs" 0 '"comment": "looks good"' env ONWARD_MOUNT="$dir/tree" "$onward" show proposal 7 --json
expect "a number is a number" 2 "not the number" env ONWARD_MOUNT="$dir/tree" "$onward" approve x7
expect "a proposal that is not there" 1 "there is no proposal 8" env ONWARD_MOUNT="$dir/tree" "$onward" approve 8
expect "one revision at a time" 2 "one revision" env ONWARD_MOUNT="$dir/tree" "$onward" show a b
mkdir "$dir/tree/.onward"
echo '{"history":{"state":"building","revisions":1,"of":2}}' >"$dir/tree/.onward/status.json"
expect "the index is not complete" 1 "building: 1 of 2" env ONWARD_MOUNT="$dir/tree" "$onward" index --no-wait
mkdir "$dir/tree/sites/s1" "$dir/tree/sites/s2"
totals='{"chains":1,"commits":9,"records":12,"findings":1,"complete":true}'
echo "$totals" >"$dir/tree/.onward/ledger"
expect "what to verify is said" 2 "verify --ledger" env ONWARD_MOUNT="$dir/tree" "$onward" verify
expect "an intact ledger" 0 "12 records in 9 commits of 1 host: intact" env ONWARD_MOUNT="$dir/tree" "$onward" verify --ledger
printf '%s\n' '{"host":"ops-1","commit":"0123456789abcdef","site":"s1","generation":7,"what":"it is gone"}' "$totals" \
    >"$dir/tree/.onward/ledger"
expect "a finding in the ledger" 1 "ops-1 0123456789ab s1 #7: it is gone" env ONWARD_MOUNT="$dir/tree" "$onward" verify --ledger
expect "a finding for programs" 1 '"what": "it is gone"' env ONWARD_MOUNT="$dir/tree" "$onward" verify --ledger --json
expect "a finding of another site" 0 "intact" env ONWARD_MOUNT="$dir/tree" "$onward" verify --ledger s2
expect "a finding of this site" 1 "1 finding" env ONWARD_MOUNT="$dir/tree" "$onward" verify --ledger s1
expect "no site to verify" 1 'no site "s3"' env ONWARD_MOUNT="$dir/tree" "$onward" verify --ledger s3
echo '{"host":"ops-1","what":"x"}' >"$dir/tree/.onward/ledger"
expect "a report that is cut short" 1 "cut short" env ONWARD_MOUNT="$dir/tree" "$onward" verify --ledger
mkdir -p "$dir/tree/history" "$dir/tree/revisions/x/stores"
expect "a path is relative to the working directory in a revision" 1 "stores/pos never was" env ONWARD_MOUNT="$dir/tree" \
    sh -c "cd tree/revisions/x/stores && '$onward' log -- pos"
expect "a full disk is not success" 1 "cannot write" \
    env ONWARD_MOUNT="$dir/tree" sh -c "'$onward' status >/dev/full"
if script -qec true /dev/null >/dev/null 2>&1; then # a terminal can be had here
    expect "colours on a terminal" 0 "$(printf '\033[32min-sync')" env TERM=xterm \
        ONWARD_MOUNT="$dir/tree" script -qec "'$onward' status" /dev/null
    expect "a bar on a terminal" 0 "$(printf '[####################....................]  50%%  building: 1 of 2')" \
        env TERM=xterm ONWARD_MOUNT="$dir/tree" script -qec "cd tree/.onward; mv status.json building
            mkfifo status.json; (cat building >status.json # until it is read
            echo '{\"history\":{\"state\":\"current\"}}' >next; mv next status.json) & '$onward' index; wait" /dev/null
    expect "no colours with NO_COLOR" 0 "t     in-sync" env TERM=xterm NO_COLOR=1 \
        ONWARD_MOUNT="$dir/tree" script -qec "'$onward' status" /dev/null
else
    echo "# colours are not tested: no terminal can be had here (is /dev/pts mounted?)"
fi
echo "1..$n"
