#!/bin/bash
# The examples do what they say: the sample repository, and the shell backend with the protocol that
# README.md describes. TAP. test_examples.sh EXAMPLES-DIR
set -uo pipefail
examples=$1
dir=$(mktemp -d)
trap 'chmod -R u+w "$dir" && rm -rf "$dir"' EXIT
n=0

ok() { # NAME COMMAND…
    local name=$1 said
    shift
    n=$((n + 1))
    if said=$("$@" 2>&1); then
        echo "ok $n - $name"
    else
        echo "not ok $n - $name"
        sed 's/^/# /' <<<"$said"
    fi
}

git() { GIT_CONFIG_NOSYSTEM=1 GIT_CONFIG_GLOBAL=/dev/null command git "$@"; }
count_is() { [ "$(wc -l)" -ge "$1" ]; }

ok "make-repository runs anywhere" bash -c \
    "cd '$dir' && GIT_DIR=/nonsense GIT_AUTHOR_NAME=x '$examples/retail/make-repository' one"
"$examples/retail/make-repository" "$dir/two"
ok "two runs make the same ids" diff <(git -C "$dir/one" for-each-ref) <(git -C "$dir/two" for-each-ref)
ok "it does not write over anything" bash -c "! '$examples/retail/make-repository' '$dir/one'"
ok "at least twenty revisions" count_is 20 < <(git -C "$dir/one" rev-list main)
ok "twelve sites" count_is 12 < <(git -C "$dir/one" ls-tree -d --name-only main stores/ clusters/ network/)
ok "an annotated tag" git -C "$dir/one" cat-file tag v2026.09
ok "a branch with a slash" git -C "$dir/one" rev-parse --verify refs/heads/feature/x
ok "fsck" git -C "$dir/one" fsck --strict

# The protocol as the daemon speaks it: working directory, variables, the verb as the last word.
mkdir -p "$dir/rev1/site/sub" "$dir/rev1/base" "$dir/rev2/site" "$dir/rev2/base"
echo 1 | tee "$dir/rev1/site/a" "$dir/rev1/site/sub/b" >"$dir/rev1/base/shared"
echo 2 | tee "$dir/rev2/site/a" >"$dir/rev2/base/shared"
chmod -R a-w "$dir/rev1" "$dir/rev2"
apply() { # GENERATION VERB
    (cd "$dir/rev$1/site" && env -i PATH="$PATH" ONWARD_SITE=s1 ONWARD_GENERATION="$1" \
        ONWARD_TO="id$1" ONWARD_TREE="$dir/rev$1" "$examples/backends/apply.sh" "$dir/to" base "$2")
}
current=$dir/to/s1/current
status_is() { local want=$1 && shift && "$@" && [ "$want" = 0 ] || [ $? = "$want" ]; }

ok "a verb that it does not know exits 64" status_is 64 apply 1 plan
ok "apply" apply 1 apply
ok "it copies the source and what is shared" \
    bash -c "cmp '$dir/rev1/site/sub/b' '$current/sub/b' && cmp '$dir/rev1/base/shared' '$current/base/shared'"
ok "a newer generation" apply 2 apply
ok "replaces the older" bash -c "[ \$(cat '$current/a') = 2 ] && [ ! -e '$current/sub' ]"
inode=$(stat -Lc %i "$current")
ok "a repeated call" apply 2 apply
ok "changes nothing" test "$inode" = "$(stat -Lc %i "$current")"
ok "observes" apply 2 observe
echo x >>"$current/a"
ok "and sees what was changed" status_is 2 apply 2 observe
ok "is healthy" apply 2 health
ok "keeps no older versions" bash -c "[ \$(ls -d '$dir/to/s1'/[0-9]* | wc -l) = 1 ]"
echo "1..$n"
