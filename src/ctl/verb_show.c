/* onward show: one revision, as `git show` would, or a proposal. */
#include <errno.h>
#include <string.h>

#include "ctl/patch.h"
#include "ctl/proposal_ref.h"
#include "ctl/rev.h"
#include "ctl/verb.h"

/* The files of commits/<id>/ that are shown. */
static const char *const parts[] = {"author", "committer", "date", "message", "changes", "patch"};
enum { AUTHOR, COMMITTER, DATE, MESSAGE, CHANGES, PATCH, PARTS };

struct shown {
    char *rev;
    struct buf part[PARTS];
};

static void shown_done(struct shown *s)
{
    free(s->rev);
    for (int i = 0; i < PARTS; i++)
        buf_done(&s->part[i]);
}

static int shown_read(const struct mountpoint *m, const char *expr, struct shown *ret,
                      struct diag *reterr)
{
    int r = rev_resolve(m, expr, &ret->rev, reterr);

    for (int i = 0; i < PARTS && r == 0; i++) {
        _cleanup_free_ char *path = xasprintf("commits/%s/%s", ret->rev, parts[i]);
        r = (i < MESSAGE ? mountpoint_read_trimmed : mountpoint_read)(m, path, &ret->part[i],
                                                                      reterr);
    }
    return r;
}

static void print_field(const struct call *call, const char *name, const struct buf *value)
{
    fprintf(call->out, "%-11s", name);
    paint_text(&call->paint, buf_str(value), value->len, call->out);
    putc('\n', call->out);
}

static void print_indented(const struct call *call, const char *text)
{
    while (*text) {
        size_t len = strcspn(text, "\n");
        fputs(len ? "    " : "", call->out);
        paint_text(&call->paint, text, len, call->out);
        putc('\n', call->out);
        text += len + (text[len] == '\n');
    }
}

static void print_text(const struct call *call, const struct shown *s)
{
    struct patch patch = {.paint = &call->paint, .out = call->out};

    paint_on(&call->paint, PAINT_YELLOW, call->out);
    fprintf(call->out, "revision %s", s->rev);
    paint_off(&call->paint, PAINT_YELLOW, call->out);
    putc('\n', call->out);
    print_field(call, "Author:", &s->part[AUTHOR]);
    if (strcmp(buf_str(&s->part[AUTHOR]), buf_str(&s->part[COMMITTER])))
        print_field(call, "Committer:", &s->part[COMMITTER]);
    print_field(call, "Date:", &s->part[DATE]);
    putc('\n', call->out);
    print_indented(call, buf_str(&s->part[MESSAGE]));
    if (s->part[PATCH].len) {
        putc('\n', call->out);
        patch_text(&patch, s->part[PATCH].data, s->part[PATCH].len);
    }
}

/* `M path` lines as objects. */
static json_t *changes_json(const char *text)
{
    json_t *all = json_array();

    while (*text) {
        size_t len = strcspn(text, "\n");
        if (len > 2) {
            _cleanup_free_ char *kind = xstrndup(text, 1), *shown = xstrndup(text + 2, len - 2);
            _cleanup_(buf_done) struct buf path = {0};
            json_t *one = json_object();
            buf_add_unquoted(&path, shown);
            json_put_str(one, "change", kind);
            json_put_str(one, "path", buf_str(&path));
            json_array_append_new(all, one);
        }
        text += len + (text[len] == '\n');
    }
    return all;
}

static void print_json(const struct call *call, const struct shown *s)
{
    _cleanup_(json_decrefp) json_t *j = json_object();
    _cleanup_(buf_done) struct buf out = {0};

    json_put_str(j, "revision", s->rev);
    for (int i = 0; i < PARTS; i++) {
        const struct buf *b = &s->part[i];
        if (i == CHANGES)
            json_object_set_new(j, parts[i], changes_json(buf_str(b)));
        else
            json_put_str(j, parts[i], buf_str(b));
    }
    json_write(j, 1, &out);
    fprintf(call->out, "%s\n", buf_str(&out));
}

int verb_show(const struct call *call, struct diag *reterr)
{
    _cleanup_(shown_done) struct shown s = {0};

    if (call->n == 2 && !strcmp(call->operands[0], "proposal"))
        return proposal_print(call, call->operands[1], reterr);
    if (call->n == 2)
        return diag_fail(reterr, VERB_USAGE, "show takes one revision, or `proposal N`");
    int r = shown_read(call->mount, call->operands[0], &s, reterr);

    if (r < 0)
        return r;
    if (call->json)
        print_json(call, &s);
    else
        print_text(call, &s);
    return VERB_YES;
}
