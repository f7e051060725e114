/* What a workspace's revision is to say: made of the line that was written to `commit`, or of the
 * file `message`. Blanks go as in `git stripspace`: at the ends of lines, of the text, and all but
 * one of several blank lines. Which workspace it was, is added (trailer.h). */
#ifndef ONWARD_STAGE_COMMIT_MESSAGE_H
#define ONWARD_STAGE_COMMIT_MESSAGE_H

#include "stage/workspace.h"

#define MESSAGE_MOST 65536 /* bytes of the file `message` */

/* `line` "-": it is in the file `message`. *ret is yours. -EINVAL: nothing is said, it is not UTF-8
 * or has NUL bytes, or it claims what only we can say. */
int commit_message_take(const struct workspace *ws, const char *line, char **ret,
                        struct diag *reterr);
/* A revision says `said` now. The file `message` goes, unless it says something else. */
void commit_message_used(const struct workspace *ws, const char *said);

#endif
