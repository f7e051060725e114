#include "deploy/order.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"

#define REASON_MOST 1000 /* bytes */
#define WORD_MOST   255  /* of a site, or a revision */

static const struct form {
    const char *word, *usage;
    bool sites, reason, to; /* needs them; others may have a reason, but neither sites nor `to` */
} forms[ORDERS] = {
    [ORDER_RETRY] = {"retry", "retry SITE...", .sites = true},
    [ORDER_HOLD] = {"hold", "hold SITE... --reason TEXT", .sites = true, .reason = true},
    [ORDER_RELEASE] = {"release", "release SITE... [--reason TEXT]", .sites = true},
    [ORDER_PAUSE] = {"pause", "pause [--reason TEXT]"},
    [ORDER_RESUME] = {"resume", "resume [--reason TEXT]"},
    [ORDER_ACCEPT] = {"accept", "accept --reason TEXT", .reason = true},
    [ORDER_ROLLBACK] = {"rollback", "rollback SITE... --to REVISION --reason TEXT", .sites = true,
                        .reason = true, .to = true},
};

void order_done(struct order *o)
{
    vec_foreach (s, &o->sites)
        free(*s);
    free(o->sites.v);
    free(o->to);
    free(o->reason);
    *o = (struct order){0};
}

/* The next word, yours; "" at the end of the line. */
static char *next_word(const char **p)
{
    *p += strspn(*p, " \t");
    size_t len = strcspn(*p, " \t");
    char *word = xstrndup(*p, len);

    *p += len;
    return word;
}

static char *rest_of_line(const char **p)
{
    *p += strspn(*p, " \t");
    size_t len = strlen(*p);

    while (len && strchr(" \t", (*p)[len - 1]))
        len--;
    char *rest = xstrndup(*p, len);
    *p += strlen(*p);
    return rest;
}

static int read_kind(const char **p, struct order *o, struct diag *reterr)
{
    _cleanup_free_ char *word = next_word(p);
    _cleanup_(buf_done) struct buf known = {0};

    for (int k = 0; k < ORDERS; k++) {
        if (!strcmp(word, forms[k].word)) {
            o->kind = k;
            return 0;
        }
        buf_addf(&known, "%s%s", k ? ", " : "", forms[k].word);
    }
    return diag_fail(reterr, -EINVAL, "there is no command \"%.32s\"; there are %s", word,
                     buf_str(&known));
}

static void read_arguments(const char **p, struct order *o)
{
    for (;;) {
        _cleanup_free_ char *word = next_word(p);
        if (!*word)
            return;
        if (!strcmp(word, "--reason") && !o->reason)
            o->reason = rest_of_line(p);
        else if (!strcmp(word, "--to") && !o->to)
            o->to = next_word(p);
        else
            *VEC_ADD(&o->sites) = TAKE(word);
    }
}

static bool has_long_word(const struct order *o)
{
    vec_foreach (s, &o->sites)
        if (strlen(*s) > WORD_MOST)
            return true;
    return o->to && strlen(o->to) > WORD_MOST;
}

/* What is wrong with it; NULL: nothing. */
static const char *objection(const struct order *o)
{
    const struct form *f = &forms[o->kind];

    if (f->sites && !o->sites.n)
        return "it needs the name of a site";
    if (!f->sites && o->sites.n)
        return "it takes no sites";
    if (f->to && (!o->to || !*o->to))
        return "it needs a revision";
    if (!f->to && o->to)
        return "it takes no revision";
    if (f->reason && (!o->reason || !*o->reason))
        return "it needs a reason";
    if (o->reason && strlen(o->reason) > REASON_MOST)
        return "its reason is too long";
    if (has_long_word(o))
        return "a name in it is too long";
    return NULL;
}

int order_parse(const char *line, struct order *ret, struct diag *reterr)
{
    struct order o = {0};
    int r = read_kind(&line, &o, reterr);

    if (r == 0) {
        read_arguments(&line, &o);
        const char *wrong = objection(&o);
        if (wrong)
            r = diag_fail(reterr, -EINVAL, "%s: %s: %s", forms[o.kind].word, wrong,
                          forms[o.kind].usage);
    }
    if (r < 0) {
        order_done(&o);
        return r;
    }
    *ret = o;
    return 0;
}
