/* Trailers of a commit's message: "Key: value" lines in its last paragraph. */
#ifndef ONWARD_STAGE_TRAILER_H
#define ONWARD_STAGE_TRAILER_H

#include <stdbool.h>

#include "base/diag.h"

#define TRAILER_APPROVED  "Approved-by"      /* for each approval: who gave it */
#define TRAILER_RESTORES  "Restores"         /* of a rollback: the revision that it goes back to */
#define TRAILER_WORKSPACE "Onward-Workspace" /* on each commit from a workspace: its name */

/* The message with the trailer `key`: `value` at its end, as `git interpret-trailers` would put it
 * there. Trailers that begin with "Onward-" and were there already are left out: they are not for
 * others to say. Ends in a newline; yours. */
char *trailer_set(const char *message, const char *key, const char *value);

/* -EINVAL if a line of the message says that it was approved or reviewed: only approvals that were
 * given say so, when they have been. */
int trailer_check(const char *message, struct diag *reterr);

/* Whether a line of the message is that trailer. */
bool trailer_has(const char *message, const char *key);

#endif
