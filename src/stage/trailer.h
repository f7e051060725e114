/* Trailers of a commit's message: "Key: value" lines in its last paragraph. */
#ifndef ONWARD_STAGE_TRAILER_H
#define ONWARD_STAGE_TRAILER_H

#define TRAILER_WORKSPACE "Onward-Workspace" /* on each commit from a workspace: its name */

/* The message with the trailer `key`: `value` at its end, as `git interpret-trailers` would put it
 * there; one of that key that was there already is replaced, for it is not for others to say. Ends
 * in a newline; yours. */
char *trailer_set(const char *message, const char *key, const char *value);

#endif
