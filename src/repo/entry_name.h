/* Names that Git keeps for itself. A tree that has one can be written, but git-fsck calls it broken
 * ("hasDotgit", "gitmodulesSymlink"), servers that check what they receive refuse it, and
 * git-clone fails to check it out on any system, since one that folds case or drops characters
 * would take it for the repository's own directory. So nobody may make one here. One that somebody
 * has pushed is shown like any other, but for .git itself (repo/object.h). */
#ifndef ONWARD_REPO_ENTRY_NAME_H
#define ONWARD_REPO_ENTRY_NAME_H

#include <stdbool.h>

/* Would Windows (".git. ", "GIT~1", ".git:x", "a\.git") or macOS (".g\u200cit"), if not this
 * system, take `name` for ".git"? Any bytes without '/'. */
bool entry_name_is_gits(const char *name);
/* The same of ".gitmodules", which may be anything but a symlink. */
bool entry_name_is_modules(const char *name);

#endif
