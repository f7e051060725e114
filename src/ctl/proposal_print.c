#include <errno.h>
#include <string.h>

#include "ctl/patch.h"
#include "ctl/proposal_ref.h"

static void print_json(const struct call *call, const json_t *j)
{
    _cleanup_(buf_done) struct buf text = {0};

    json_write(j, 1, &text);
    fprintf(call->out, "%s\n", buf_str(&text));
}

/* "1 of 2" */
static char *approvals_text(const json_t *proposal)
{
    return xasprintf("%zu of %d", json_array_size(json_object_get(proposal, "approvals")),
                     (int)json_int(proposal, "needed", 1));
}

/* onward list --proposals */

static void add_row(const json_t *j, struct columns *t)
{
    _cleanup_free_ char *number = xasprintf("%d", (int)json_int(j, "proposal", 0));
    _cleanup_free_ char *approvals = approvals_text(j);
    const json_t *distance = json_object_get(j, "behind");
    _cleanup_free_ char *behind =
        json_is_integer(distance) ? xasprintf("%d", (int)json_integer_value(distance)) : NULL;
    const char *message = json_str(j, "message", "");
    _cleanup_free_ char *subject = xstrndup(message, strcspn(message, "\n"));

    columns_add(t, number);
    columns_add(t, json_str(j, "author", NULL));
    columns_add(t, json_str(j, "workspace", NULL));
    columns_add(t, approvals);
    columns_add(t, behind);
    columns_add(t, subject);
}

/* Reads all. One that ends meanwhile is passed over. */
static int read_all(const struct call *call, json_t *array, struct diag *reterr)
{
    _cleanup_(names_done) struct names names = {0};
    int r = mountpoint_list(call->mount, "proposals", &names, reterr);

    for (size_t i = 0; i < names.n && r == 0; i++) {
        struct proposal_ref p = {.number = names.v[i],
                                 .dir = xasprintf("proposals/%s", names.v[i])};
        json_t *j;
        r = proposal_ref_json(&p, call->mount, &j, reterr);
        if (r == 0)
            json_array_append_new(array, j);
        if (r == -ENOENT) {
            diag_done(reterr);
            r = 0;
        }
        free(p.dir);
    }
    return r;
}

int proposals_print(const struct call *call, struct diag *reterr)
{
    static const char *const heading[] = {"PROPOSAL",  "AUTHOR", "WORKSPACE",
                                          "APPROVALS", "BEHIND", "SUBJECT"};
    _cleanup_(columns_done) struct columns t = {.ncolumns = ARRAY_SIZE(heading)};
    _cleanup_(json_decrefp) json_t *array = json_array();
    int r = read_all(call, array, reterr);

    if (r < 0)
        return r;
    for (size_t i = 0; i < ARRAY_SIZE(heading); i++)
        columns_add(&t, heading[i]);
    for (size_t i = 0; i < json_array_size(array); i++)
        add_row(json_array_get(array, i), &t);
    if (call->json)
        print_json(call, array);
    else if (json_array_size(array))
        columns_print(&t, &call->paint, -1, true, call->out);
    else
        fputs("no proposals\n", call->out);
    return VERB_YES;
}

/* onward show proposal N */

static void print_line(const struct call *call, const char *name, const char *value)
{
    if (!value)
        return;
    fprintf(call->out, "%-11s", name);
    paint_text(&call->paint, value, strlen(value), call->out);
    putc('\n', call->out);
}

static void print_approvals(const struct call *call, const json_t *j)
{
    _cleanup_free_ char *count = approvals_text(j);
    const json_t *all = json_object_get(j, "approvals");

    print_line(call, "Approvals:", count);
    for (size_t i = 0; i < json_array_size(all); i++) {
        const json_t *one = json_array_get(all, i);
        const char *comment = json_str(one, "comment", NULL);
        _cleanup_free_ char *line = xasprintf("%s%s%s", json_str(one, "by", "?"),
                                              comment ? ": " : "", comment ? comment : "");
        print_line(call, "", line);
    }
}

static void print_text(const struct call *call, const json_t *j, const struct buf *diff)
{
    struct patch patch = {.paint = &call->paint, .out = call->out};
    const char *message = json_str(j, "message", "");

    paint_on(&call->paint, PAINT_YELLOW, call->out);
    fprintf(call->out, "proposal %d", (int)json_int(j, "proposal", 0));
    paint_off(&call->paint, PAINT_YELLOW, call->out);
    putc('\n', call->out);
    print_line(call, "Author:", json_str(j, "author", NULL));
    print_line(call, "Workspace:", json_str(j, "workspace", NULL));
    print_line(call, "Revision:", json_str(j, "revision", NULL));
    print_approvals(call, j);
    print_line(call, "Obstacle:", json_str(j, "not_merged", NULL));
    for (const char *line = message; *line; line += *line == '\n') {
        size_t len = strcspn(line, "\n");
        fputs(line == message ? "\n    " : "    ", call->out);
        paint_text(&call->paint, line, len, call->out);
        putc('\n', call->out);
        line += len;
    }
    putc('\n', call->out);
    patch_text(&patch, buf_str(diff), diff->len);
}

int proposal_print(const struct call *call, const char *operand, struct diag *reterr)
{
    _cleanup_(proposal_ref_done) struct proposal_ref p = {0};
    _cleanup_(json_decrefp) json_t *j = NULL;
    _cleanup_(buf_done) struct buf diff = {0};
    int r = proposal_ref_find(call, operand, &p, reterr);

    if (r != 0)
        return r;
    _cleanup_free_ char *path = proposal_ref_path(&p, "diff");
    r = proposal_ref_json(&p, call->mount, &j, reterr);
    if (r == 0)
        r = mountpoint_read(call->mount, path, &diff, reterr);
    if (r < 0)
        return r;
    if (call->json) {
        json_put_str(j, "diff", buf_str(&diff));
        print_json(call, j);
    } else {
        print_text(call, j, &diff);
    }
    return VERB_YES;
}
