#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/verb.h"

static const struct {
    enum verb_option bit;
    char letter; /* 0: none */
    const char *name, *value, *help;
} options[] = {
    {OPTION_JSON, 0, "json", NULL, "print JSON, for programs"},
    {OPTION_WATCH, 'w', "watch", NULL, "print again whenever something changed, until interrupted"},
    {OPTION_FROM, 0, "from", "REV", "base it on REV instead of head"},
    {OPTION_MESSAGE, 'm', "message", "MESSAGE", "the message, of one line or several"},
    {OPTION_FORCE, 'f', "force", NULL, "even if changes are lost by it"},
    {OPTION_LIMIT, 'n', "limit", "N", "only the newest N"},
    {OPTION_NO_WAIT, 0, "no-wait", NULL, "only say how far it is"},
    {OPTION_PROPOSALS, 0, "proposals", NULL, "the changes that wait for approvals instead"},
    {OPTION_LEDGER, 0, "ledger", NULL, "that nothing was removed from the ledger, or changed"},
    {OPTION_REASON, 0, "reason", "TEXT", "why, for all to read; one line"},
    {OPTION_TO, 0, "to", "REV", "as it was at REV"},
};

/* What getopt_long() answers for --help; option i is answered as i. */
#define HELP_ANSWER 256

void args_help(unsigned wanted, struct buf *out)
{
    for (size_t i = 0; i < ARRAY_SIZE(options); i++) {
        if (!(wanted & options[i].bit))
            continue;
        _cleanup_free_ char *letter =
            options[i].letter ? xasprintf("-%c,", options[i].letter) : xstrdup("");
        _cleanup_free_ char *name =
            xasprintf("--%s%s%s", options[i].name, options[i].value ? " " : "",
                      options[i].value ? options[i].value : "");
        buf_addf(out, "  %3s %-20s %s\n", letter, name, options[i].help);
    }
    buf_addf(out, "  %3s %-20s %s\n", "-h,", "--help", "this");
}

/* getopt's own tables for the options of one verb. */
struct tables {
    struct option longs[ARRAY_SIZE(options) + 2];
    char shorts[2 * ARRAY_SIZE(options) + 3];
};

static void tables_fill(unsigned wanted, struct tables *t)
{
    int n = 0;
    char *s = t->shorts;

    *s++ = ':';
    *s++ = 'h';
    for (size_t i = 0; i < ARRAY_SIZE(options); i++) {
        if (!(wanted & options[i].bit))
            continue;
        t->longs[n++] = (struct option){options[i].name, options[i].value != NULL, NULL, (int)i};
        if (!options[i].letter)
            continue;
        *s++ = options[i].letter;
        if (options[i].value)
            *s++ = ':';
    }
    t->longs[n] = (struct option){"help", no_argument, NULL, HELP_ANSWER};
}

/* A number from 1 on; 0 if it is none. */
static unsigned number(const char *value)
{
    char *end;

    errno = 0;
    unsigned long n = strtoul(value, &end, 10);
    return isdigit((unsigned char)*value) && !*end && !errno && n <= UINT_MAX ? n : 0;
}

static int apply(enum verb_option bit, const char *value, struct call *call, struct diag *reterr)
{
    switch (bit) {
    case OPTION_JSON:
        call->json = true;
        break;
    case OPTION_WATCH:
        call->watch = true;
        break;
    case OPTION_FROM:
        call->from = value;
        break;
    case OPTION_MESSAGE:
        call->message = value;
        break;
    case OPTION_FORCE:
        call->force = true;
        break;
    case OPTION_LIMIT:
        call->limit = number(value);
        if (!call->limit)
            return diag_fail(reterr, VERB_USAGE, "\"%s\" is no number from 1 on", value);
        break;
    case OPTION_NO_WAIT:
        call->no_wait = true;
        break;
    case OPTION_PROPOSALS:
        call->proposals = true;
        break;
    case OPTION_LEDGER:
        call->ledger = true;
        break;
    case OPTION_REASON:
        call->reason = value;
        break;
    case OPTION_TO:
        call->to = value;
        break;
    }
    return VERB_YES;
}

/* The option that getopt answered with `c` (its index, or its letter). */
static size_t option_index(int c)
{
    size_t i = 0;

    while (i < ARRAY_SIZE(options) && (int)i != c && options[i].letter != c)
        i++;
    return i;
}

/* Takes `-- PATH` off the end: options stand before it. getopt would drop the `--` and let the path
 * pass for an operand. */
static int take_path(const struct verb *v, int *argc, char **argv, struct call *call,
                     struct diag *reterr)
{
    int n = 0;

    while (n < *argc && strcmp(argv[n], "--"))
        n++;
    if (n == *argc)
        return VERB_YES;
    if (*argc - n != 2)
        return diag_fail(reterr, VERB_USAGE, "%s needs one path behind --", v->name);
    call->path = argv[n + 1];
    *argc = n;
    return VERB_YES;
}

static int count_operands(const struct verb *v, int argc, char **argv, struct call *call,
                          struct diag *reterr)
{
    call->operands = (const char *const *)argv + optind;
    call->n = argc - optind;
    if (call->path && call->n)
        return diag_fail(reterr, VERB_USAGE, "%s takes %s, not both", v->name, v->operands);
    if (call->n < v->least)
        return diag_fail(reterr, VERB_USAGE, "%s needs %s", v->name, v->operands);
    if (v->most >= 0 && call->n > v->most)
        return diag_fail(reterr, VERB_USAGE, "%s does not take \"%s\"", v->name,
                         call->operands[v->most]);
    for (int i = 0; i < call->n; i++)
        if (!*call->operands[i])
            return diag_fail(reterr, VERB_USAGE, "%s: an operand is empty", v->name);
    return VERB_YES;
}

/* `given`: options, as bits. */
static int check_needed(const struct verb *v, unsigned given, struct diag *reterr)
{
    for (size_t i = 0; i < ARRAY_SIZE(options); i++)
        if (v->needed & options[i].bit & ~given)
            return diag_fail(reterr, VERB_USAGE, "%s needs --%s %s", v->name, options[i].name,
                             options[i].value);
    return VERB_YES;
}

int args_parse(const struct verb *v, int argc, char **argv, struct call *call, struct diag *reterr)
{
    struct tables t = {0};
    unsigned given = 0;

    call->verb = v;
    if (v->path && take_path(v, &argc, argv, call, reterr) != VERB_YES)
        return VERB_USAGE;
    tables_fill(v->options, &t);
    optind = 0; /* glibc: start over, also its hidden state */
    for (int c; (c = getopt_long(argc, argv, t.shorts, t.longs, NULL)) != -1;) {
        if (c == 'h' || c == HELP_ANSWER)
            return ARGS_HELP;
        if (c == ':')
            return diag_fail(reterr, VERB_USAGE, "%s needs a value", argv[optind - 1]);
        size_t i = option_index(c);
        if (i == ARRAY_SIZE(options))
            return diag_fail(reterr, VERB_USAGE, "%s has no option %s", v->name, argv[optind - 1]);
        int r = apply(options[i].bit, optarg, call, reterr);
        if (r != VERB_YES)
            return r;
        given |= options[i].bit;
    }
    int r = count_operands(v, argc, argv, call, reterr);
    return r == VERB_YES ? check_needed(v, given, reterr) : r;
}
