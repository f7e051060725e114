/* The verbs of the command line: one table, from which parsing, `--help` and the manual page's test
 * come, and one file verb_<name>.c for each (verb_order.c for those that only give an order).
 *
 * A verb gets its call and returns what becomes the exit status: VERB_YES, VERB_NO (failed, or
 * there are differences; it has said so on call->out), VERB_USAGE with the mistake
 * in `reterr`, or -errno with the reason in `reterr`, which counts as VERB_NO. Verbs read and write
 * the mounted files and nothing else: a verb that needs another way to the daemon does not belong
 * here. */
#ifndef ONWARD_CTL_VERB_H
#define ONWARD_CTL_VERB_H

#include <stdbool.h>
#include <stdio.h>

#include "base/diag.h"
#include "ctl/mountpoint.h"
#include "ctl/paint.h"

enum { VERB_YES = 0, VERB_NO = 1, VERB_USAGE = 2 };

/* Options that verbs take, as bits; the table in args.c says how each is spelled. */
enum verb_option {
    OPTION_JSON = 1 << 0,
    OPTION_WATCH = 1 << 1,
    OPTION_FROM = 1 << 2,
    OPTION_MESSAGE = 1 << 3,
    OPTION_FORCE = 1 << 4,
    OPTION_LIMIT = 1 << 5,
    OPTION_NO_WAIT = 1 << 6,
    OPTION_PROPOSALS = 1 << 7,
    OPTION_LEDGER = 1 << 8,
    OPTION_REASON = 1 << 9,
    OPTION_TO = 1 << 10,
};

/* One invocation. Everything is borrowed. */
struct call {
    const struct verb *verb;
    struct mountpoint *mount;
    FILE *out;
    struct paint paint;
    bool json, watch, force, no_wait, proposals, ledger;
    unsigned limit;                           /* how many to show; 0: all */
    const char *from, *message, *reason, *to; /* NULL when not given */
    const char *path; /* what follows `--`, for a verb that takes a path; NULL: nothing */
    const char *const *operands;
    int n;
};

struct verb {
    const char *name;
    const char *operands; /* as usage shows them */
    const char *summary;  /* one line, no full stop */
    const char *help;     /* paragraphs, without a final newline */
    unsigned options;
    unsigned needed; /* those of them that it must be given */
    int least, most; /* operands; most < 0: any number */
    bool path;       /* takes `-- PATH` in their place */
    int (*run)(const struct call *call, struct diag *reterr);
};

extern const struct verb verbs[];
extern const size_t nverbs;

/* By name, or NULL. */
const struct verb *verb_find(const char *name);
/* `onward VERB …` in one line, without newline. */
void verb_usage(const struct verb *v, struct buf *out);
/* The help of one verb, of all. */
void verb_help(const struct verb *v, struct buf *out);
void verbs_help(struct buf *out);

/* Takes options and operands of `v` from argv (argv[0] is the verb) into *call; operands are moved
 * to the end of argv. VERB_YES, VERB_USAGE with a reason, or ARGS_HELP when help was asked for. */
#define ARGS_HELP 3
int args_parse(const struct verb *v, int argc, char **argv, struct call *call, struct diag *reterr);
/* Adds a line for each of these options, as help shows them. */
void args_help(unsigned options, struct buf *out);

int verb_status(const struct call *call, struct diag *reterr);
int verb_log(const struct call *call, struct diag *reterr);
int verb_diff(const struct call *call, struct diag *reterr);
int verb_show(const struct call *call, struct diag *reterr);
int verb_new(const struct call *call, struct diag *reterr);
int verb_list(const struct call *call, struct diag *reterr);
int verb_check(const struct call *call, struct diag *reterr);
int verb_commit(const struct call *call, struct diag *reterr);
int verb_rebase(const struct call *call, struct diag *reterr);
int verb_approve(const struct call *call, struct diag *reterr);
int verb_drop(const struct call *call, struct diag *reterr);
int verb_order(const struct call *call, struct diag *reterr);
int verb_rollback(const struct call *call, struct diag *reterr);
int verb_verify(const struct call *call, struct diag *reterr);
int verb_index(const struct call *call, struct diag *reterr);

#endif
