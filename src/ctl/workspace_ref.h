/* A workspace as the command line refers to it: staging/<name> in the mount, and its control files.
 */
#ifndef ONWARD_CTL_WORKSPACE_REF_H
#define ONWARD_CTL_WORKSPACE_REF_H

#include <stdbool.h>

#include "ctl/verb.h"

struct workspace_ref {
    char *name;
    char *dir; /* "staging/<name>" */
    bool locked;
    int lock; /* a descriptor, if locked */
};

/* The first operand of the call, or the workspace that the working directory is in. VERB_USAGE when
 * there is neither, -ENOENT when there is no such workspace. */
int workspace_ref_find(const struct call *call, struct workspace_ref *ret, struct diag *reterr);
void workspace_ref_done(struct workspace_ref *w);

/* From here until workspace_ref_done() no other `onward` commits or rebases it: message and outcome
 * are ours. Why that cannot be had, the commit itself says better. */
void workspace_ref_lock(struct workspace_ref *w, const struct mountpoint *m);
/* The content of its control file `file`, without newlines at the end. */
int workspace_ref_read(const struct workspace_ref *w, const struct mountpoint *m, const char *file,
                       struct buf *out, struct diag *reterr);
/* Writes a line to its control file `file`. */
int workspace_ref_command(const struct workspace_ref *w, const struct mountpoint *m,
                          const char *file, const char *line, struct diag *reterr);
/* The value of `key` in text of "key: value" lines, yours; NULL when it is not there. */
char *keyed_value(const char *text, const char *key);
/* Findings as their lines name them (`path:line:col: check: message`), as an array of objects.
 * Lines of another shape become objects with only a message. */
json_t *findings_json(const char *text);

#endif
