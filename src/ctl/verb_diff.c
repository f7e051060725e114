/* onward diff: deployed against desired of a site, or two revisions. */
#include <errno.h>
#include <string.h>

#include "ctl/comparison.h"
#include "ctl/rev.h"
#include "ctl/verb.h"

/* One end of a comparison: a revision, and a path in it. Zero: nothing was ever there. */
struct end {
    char *rev, *path;
};

static void end_done(struct end *e)
{
    free(e->rev);
    free(e->path);
}

/* The end that the link sites/<site>/<name> stands for; none when there is no such link. */
static int end_of_link(const struct mountpoint *m, const char *site, const char *name,
                       struct end *ret, struct diag *reterr)
{
    _cleanup_free_ char *link = xasprintf("sites/%s/%s", site, name), *target = NULL;
    int r = mountpoint_readlink(m, link, &target, reterr);

    if (r == -ENOENT)
        diag_done(reterr);
    if (r < 0)
        return r == -ENOENT ? 0 : r;
    ret->rev = rev_of_target(target);
    if (!ret->rev)
        return diag_fail(reterr, -EINVAL, "%s points to %s, which is no revision", link, target);
    const char *path = strstr(target, ret->rev) + strlen(ret->rev);
    ret->path = xstrdup(*path == '/' && path[1] ? path + 1 : ".");
    return 0;
}

/* What the site takes besides its source. */
static int compare_includes(const struct call *call, const json_t *status, const struct end *from,
                            const struct end *to, struct patch *patch, struct diag *reterr)
{
    const json_t *includes = json_object_get(status, "include");
    int differs = 0;

    for (size_t i = 0; i < json_array_size(includes); i++) {
        const char *path = json_string_value(json_array_get(includes, i));
        int r = !path
                    ? 0
                    : comparison_print(call->mount, from->rev, path, to->rev, path, patch, reterr);
        if (r < 0)
            return r;
        differs |= r;
    }
    return differs;
}

static int compare_site(const struct call *call, const json_t *status, const struct end *from,
                        const struct end *to, struct patch *patch, struct diag *reterr)
{
    if (from->rev && !strcmp(from->rev, to->rev) && !strcmp(from->path, to->path))
        return 0;
    int source = comparison_print(call->mount, from->rev, from->path ? from->path : to->path,
                                  to->rev, to->path, patch, reterr);
    if (source < 0)
        return source;
    int rest = compare_includes(call, status, from, to, patch, reterr);
    return rest < 0 ? rest : source | rest;
}

static void put_json(const struct call *call, const char *site, const struct end *from,
                     const struct end *to, int differs, const char *text)
{
    _cleanup_(json_decrefp) json_t *j = json_object();
    _cleanup_(buf_done) struct buf out = {0};

    if (site)
        json_put_str(j, "site", site);
    json_put_str(j, "from", from->rev);
    json_put_str(j, "to", to->rev);
    json_object_set_new(j, "differs", json_boolean(differs));
    json_put_str(j, "patch", text);
    json_write(j, 1, &out);
    fprintf(call->out, "%s\n", buf_str(&out));
}

/* Runs a comparison into `call->out`, or into the JSON object that goes there. */
static int compare(const struct call *call, const char *site, const json_t *status,
                   const struct end *from, const struct end *to, struct diag *reterr)
{
    static const struct paint plain = {0};
    _cleanup_free_ char *text = NULL;
    size_t len = 0;
    FILE *memory = call->json ? open_memstream(&text, &len) : NULL;
    struct patch patch = {.paint = memory ? &plain : &call->paint,
                          .out = memory ? memory : call->out};

    if (call->json && !memory)
        return -errno;
    int r = compare_site(call, status, from, to, &patch, reterr);
    if (memory)
        fclose(memory);
    if (r >= 0 && call->json)
        put_json(call, site, from, to, r, text);
    return r;
}

/* In words why there is nothing to see. */
static void say_same(const struct call *call, const char *site, const json_t *status,
                     const struct end *from, const struct end *to)
{
    const char *state = json_str(status, "state", "unknown");

    if (!strcmp(from->rev, to->rev))
        fprintf(call->out, "%s: deployed is desired, %.*s; %s\n", site, REV_SHORT, to->rev, state);
    else
        fprintf(call->out, "%s: the files at %.*s and %.*s are the same; %s\n", site, REV_SHORT,
                from->rev, REV_SHORT, to->rev, state);
}

static int diff_site(const struct call *call, const char *site, struct diag *reterr)
{
    _cleanup_(end_done) struct end from = {0}, to = {0};
    _cleanup_free_ char *path = xasprintf("sites/%s/status.json", site);
    _cleanup_(json_decrefp) json_t *status = NULL;
    int r = strchr(site, '/') ? -ENOENT : mountpoint_read_json(call->mount, path, &status, reterr);

    if (r == -ENOENT)
        return diag_fail(reterr, r, "there is no site \"%s\"", site);
    if (r == 0)
        r = end_of_link(call->mount, site, "deployed", &from, reterr);
    if (r == 0)
        r = end_of_link(call->mount, site, "desired", &to, reterr);
    if (r < 0)
        return r;
    if (!to.rev)
        return diag_fail(reterr, -ENOENT, "%s has no desired revision; `onward status %s` says why",
                         site, site);
    r = compare(call, site, status, &from, &to, reterr);
    if (r == 0 && !call->json && from.rev)
        say_same(call, site, status, &from, &to);
    return r;
}

static int diff_revisions(const struct call *call, struct diag *reterr)
{
    _cleanup_(end_done) struct end from = {.path = xstrdup(".")}, to = {.path = xstrdup(".")};
    int r = rev_resolve(call->mount, call->operands[0], &from.rev, reterr);

    if (r == 0)
        r = rev_resolve(call->mount, call->operands[1], &to.rev, reterr);
    return r < 0 ? r : compare(call, NULL, NULL, &from, &to, reterr);
}

int verb_diff(const struct call *call, struct diag *reterr)
{
    return call->n == 1 ? diff_site(call, call->operands[0], reterr) : diff_revisions(call, reterr);
}
