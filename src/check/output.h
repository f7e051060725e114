/* Findings in what a host's check has printed. Private to this folder. */
#ifndef ONWARD_CHECK_OUTPUT_H
#define ONWARD_CHECK_OUTPUT_H

#include "base/finding.h"
#include "repo/oid.h"
#include "repo/repo.h"

struct output {
    struct repo *repo;
    const struct oid *tree; /* findings name paths in it */
    const char *root;       /* the tree as the check may name it, absolute */
    const char *check;
};

/* Adds a finding for each line of the form `path:line:col: message`, `path:line: message` or `path:
 * message` whose path is in the tree; `./` or `root` before it is left out. Other lines are passed
 * over. */
void output_parse(const struct output *o, const char *text, size_t len, struct findings *ret);
/* The first lines of the text as one line, for a finding that has no other words; yours. */
char *output_summary(const char *text, size_t len);

#endif
