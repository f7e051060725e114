#include "check/check.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/yaml.h"
#include "check/builtin.h"
#include "repo/diff.h"
#include "repo/object.h"
#include "site/declaration.h"

/* The built-in checks of one file. */
static const struct builtin {
    const char *name;
    const char *suffixes[2];
    void (*run)(const char *path, const char *data, size_t len, struct findings *findings);
} builtins[] = {
    {"yaml", {".yaml", ".yml"}, yaml_check},
    {"json", {".json"}, check_json},
};

#define DECLARATION_CHECK "declaration"

struct run {
    struct repo *repo;
    bool wanted[ARRAY_SIZE(builtins)];
    struct findings *findings;
    struct diag *reterr;
};

static const struct builtin *builtin_named(const char *name)
{
    for (size_t i = 0; i < ARRAY_SIZE(builtins); i++)
        if (!strcmp(builtins[i].name, name))
            return &builtins[i];
    return NULL;
}

/* ---- files ---- */

static bool ends_with(const char *s, const char *suffix)
{
    size_t n = strlen(s), m = strlen(suffix);

    return n > m && !strcasecmp(s + n - m, suffix);
}

/* The check for a file of that name, or NULL. onward.yaml has a check of its own. */
static const struct builtin *builtin_for(const struct run *run, const char *path)
{
    if (!strcmp(path, DECLARATION_FILE))
        return NULL;
    for (size_t i = 0; i < ARRAY_SIZE(builtins); i++)
        for (size_t j = 0; j < ARRAY_SIZE(builtins[i].suffixes); j++)
            if (run->wanted[i] && builtins[i].suffixes[j] &&
                ends_with(path, builtins[i].suffixes[j]))
                return &builtins[i];
    return NULL;
}

static int check_file(struct run *run, const struct builtin *check, const struct change *c)
{
    _cleanup_(blob_unrefp) struct blob *blob = NULL;
    uint64_t size;
    int r = blob_size(run->repo, &c->new_oid, &size);

    if (!r && size > CHECK_FILE_SIZE) {
        log_warn("not-checked", "path=\"%s\" check=%s bytes=%llu limit=%d", c->path, check->name,
                 (unsigned long long)size, CHECK_FILE_SIZE);
        return 0;
    }
    if (!r)
        r = blob_load(run->repo, &c->new_oid, &blob);
    if (r < 0)
        return diag_fail(run->reterr, r, "cannot read %s to check it", c->path);
    check->run(c->path, blob->data, blob->size, run->findings);
    return 0;
}

static int on_change(const struct change *c, void *arg)
{
    struct run *run = arg;
    bool file = c->status != 'D' && (c->new_kind == ENTRY_FILE || c->new_kind == ENTRY_EXEC);
    /* Only the execute bit has changed. */
    bool same = c->status == 'M' && oid_equal(&c->old_oid, &c->new_oid);
    const struct builtin *check = file && !same ? builtin_for(run, c->path) : NULL;

    return check ? check_file(run, check, c) : 0;
}

/* ---- the declaration ---- */

static bool has_message(const struct findings *f, const char *message)
{
    vec_foreach (x, f)
        if (!strcmp(x->message, message))
            return true;
    return false;
}

/* Loads the declarations of both trees (NULL where wrong), and adds what is wrong with the newer
 * one that was not wrong with the older one in the same words. */
static int check_declaration(struct run *run, const struct oid *base, const struct oid *tree,
                             struct declaration **ret_old, struct declaration **ret_new)
{
    _cleanup_(findings_done) struct findings old = {0}, new = {0};
    int r = declaration_load(run->repo, tree, ret_new, &new, run->reterr);

    if (r < 0 && r != -EINVAL)
        return r;
    r = oid_is_zero(base) ? 0 : declaration_load(run->repo, base, ret_old, &old, run->reterr);
    if (r < 0 && r != -EINVAL)
        return r;
    vec_foreach (f, &new)
        if (!has_message(&old, f->message))
            findings_add(run->findings, f->path, f->line, f->col, f->check, "%s", f->message);
    return 0;
}

static bool names_check(const struct declaration *d, const char *name)
{
    for (size_t i = 0; d && i < d->checks.n; i++)
        if (!strcmp(d->checks.v[i], name))
            return true;
    return false;
}

/* Which built-in checks run; one that is not available here is a finding in the change that names
 * it first, so that nobody believes that it runs, and a line in the log from then on. */
static void choose_checks(struct run *run, const struct declaration *old,
                          const struct declaration *new)
{
    for (size_t i = 0; i < ARRAY_SIZE(builtins); i++)
        run->wanted[i] = !new || names_check(new, builtins[i].name);
    for (size_t i = 0; new &&i < new->checks.n; i++) {
        const char *name = new->checks.v[i];
        if (builtin_named(name) || !strcmp(name, DECLARATION_CHECK))
            continue;
        if (names_check(old, name))
            log_warn("check-unavailable", "check=%s", name);
        else
            findings_add(
                run->findings, DECLARATION_FILE, new->checks_line, new->checks_col,
                DECLARATION_CHECK,
                "checks: this host has no check \"%s\"; expected yaml, json or declaration", name);
    }
}

int check_tree(struct repo *repo, const struct oid *base, const struct oid *tree,
               struct findings *ret, struct diag *reterr)
{
    _cleanup_(declaration_unrefp) struct declaration *old = NULL, *new = NULL;
    struct run run = {.repo = repo, .findings = ret, .reterr = reterr};
    int r = check_declaration(&run, base, tree, &old, &new);

    if (r < 0)
        return r;
    choose_checks(&run, old, new);
    return diff_changes(repo, base, tree, on_change, &run);
}

int check_approvals(struct repo *repo, const struct oid *tree)
{
    _cleanup_(declaration_unrefp) struct declaration *d = NULL;
    _cleanup_(findings_done) struct findings findings = {0};

    if (oid_is_zero(tree) || declaration_load(repo, tree, &d, &findings, NULL) < 0)
        return 0;
    return d->approvals;
}
