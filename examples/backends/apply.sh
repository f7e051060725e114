#!/bin/sh
# apply.sh DIRECTORY [PATH…] VERB: an exec backend. Copies what a site takes to DIRECTORY/<site>/<generation>/
# and then moves the symlink DIRECTORY/<site>/current there, so that a reader sees the old version or the
# new one, never a part. PATHs are what sites share, relative to the repository's root.
set -eu
umask 022
site=$1/$ONWARD_SITE new=$1/$ONWARD_SITE/$ONWARD_GENERATION
shift
while [ $# -gt 1 ]; do shared="${shared-} $1" && shift; done

fill() { # DIRECTORY: makes it what the site should have
    rm -rf "$1"
    mkdir -p "$1"
    cp -R . "$1" # the working directory is the site's source, read-only, at the revision ONWARD_TO
    for path in ${shared-}; do mkdir -p "$1/$path" && cp -R "$ONWARD_TREE/$path/." "$1/$path"; done
    chmod -R u+w "$1"
}

mkdir -p "$site"
case $1 in
apply)
    if [ "$(readlink "$site/current" || true)" != "$ONWARD_GENERATION" ]; then # else: a repeated call
        fill "$new"
        sync -f "$new"
        ln -sfn "$ONWARD_GENERATION" "$site/next" && mv -T "$site/next" "$site/current"
    fi
    find "$site" -mindepth 1 -maxdepth 1 -type d ! -path "$new" -exec rm -rf {} +
    echo "$ONWARD_SITE: generation $ONWARD_GENERATION is revision $ONWARD_TO" ;;
health) # whatever tells that the site works: 75 is "not yet", anything but 0 a failure
    [ -e "$site/current/" ] ;;
observe) # 2 is "it is not as it was deployed"; what was printed is shown as the drift
    fill "$site/expected"
    cd "$site" && diff -r --no-dereference expected current/ || exit 2 ;;
*) exit 64 ;; # a verb that this backend does not know
esac
