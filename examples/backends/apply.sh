#!/bin/sh
# apply.sh DIRECTORY [PATH…] VERB: an exec backend. Copies what a site takes to DIRECTORY/<site>/<generation>/
# and then moves the symlink DIRECTORY/<site>/current there, so that a reader sees the old version or the
# new one, never a part. PATHs are what sites share, relative to the repository's root.
set -eu
umask 022
site=$1/$ONWARD_SITE new=$1/$ONWARD_SITE/$ONWARD_GENERATION
shift
while [ $# -gt 1 ]; do shared="${shared-} $1" && shift; done
[ "$1" = apply ] || exit 64 # a verb that this backend does not know
mkdir -p "$site" && exec 9>"$site/lock" && flock 9 # a call may outlive a daemon that was killed
if [ "$(readlink "$site/current" || true)" != "$ONWARD_GENERATION" ]; then # else: a repeated call
    rm -rf "$new"
    mkdir -p "$new"
    cp -R . "$new" # the working directory is the site's source, read-only, at the revision ONWARD_TO
    for path in ${shared-}; do mkdir -p "$new/$path" && cp -R "$ONWARD_TREE/$path/." "$new/$path"; done
    chmod -R u+w "$new" && sync -f "$new"
    ln -sfn "$ONWARD_GENERATION" "$site/next" && mv -T "$site/next" "$site/current"
fi
find "$site" -mindepth 1 -maxdepth 1 -type d ! -path "$new" -exec rm -rf {} +
echo "$ONWARD_SITE: generation $ONWARD_GENERATION is revision $ONWARD_TO"
