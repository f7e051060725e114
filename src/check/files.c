#include "check/files.h"

#include <string.h>

#include "base/log.h"
#include "base/yaml.h"
#include "check/builtin.h"
#include "repo/diff.h"
#include "site/declaration.h"

/* The checks of one kind of file. */
static const struct kind {
    const char *name;
    unsigned bit;
    const char *suffixes[2];
    void (*run)(const char *path, const char *data, size_t len, struct findings *findings);
} kinds[] = {
    {"yaml", FILE_YAML, {".yaml", ".yml"}, yaml_check},
    {"json", FILE_JSON, {".json"}, check_json},
};

unsigned file_check_named(const char *name)
{
    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
        if (!strcmp(kinds[i].name, name))
            return kinds[i].bit;
    return 0;
}

static bool is_file(enum entry_kind kind)
{
    return kind == ENTRY_FILE || kind == ENTRY_EXEC;
}

static int on_change(const struct change *c, void *arg)
{
    struct changed_files *files = arg;

    files->any = true;
    if (c->status == 'D' || !is_file(c->new_kind))
        return 0;
    struct changed_file *f = VEC_ADD(files);
    f->path = xstrdup(c->path);
    f->oid = c->new_oid;
    if (is_file(c->old_kind)) /* of an added one: zero */
        f->old = c->old_oid;
    return 0;
}

int changed_files_find(struct repo *repo, const struct check_input *in, struct changed_files *ret)
{
    return diff_changes(repo, &in->base, &in->tree, on_change, ret);
}

void changed_files_done(struct changed_files *files)
{
    vec_foreach (f, files)
        free(f->path);
    free(files->v);
    *files = (struct changed_files){0};
}

/* ---- one file ---- */

static bool ends_with(const char *s, const char *suffix)
{
    size_t n = strlen(s), m = strlen(suffix);

    return n > m && !strcasecmp(s + n - m, suffix);
}

/* The check for a file of that name, or NULL. onward.yaml has a check of its own. */
static const struct kind *kind_of(const struct file_rules *rules, const char *path)
{
    if (!strcmp(path, DECLARATION_FILE))
        return NULL;
    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
        for (size_t j = 0; j < ARRAY_SIZE(kinds[i].suffixes); j++)
            if (rules->checks & kinds[i].bit && kinds[i].suffixes[j] &&
                ends_with(path, kinds[i].suffixes[j]))
                return &kinds[i];
    return NULL;
}

/* The old content is only read when there is something to compare with it; one that is too long to
 * be looked at counts for nothing. */
static int check_conflicts(const struct file_rules *rules, const struct changed_file *f,
                           const struct blob *blob, struct findings *findings)
{
    struct file_text text = {blob->data, blob->size}, before;
    _cleanup_(blob_unrefp) struct blob *old = NULL;
    struct conflict_mark mark = {0};
    uint64_t size = 0;
    int r = 0;

    if (!conflict_mark_next(text.data, text.len, &mark))
        return 0;
    if (!oid_is_zero(&f->old))
        r = blob_size(rules->repo, &f->old, &size);
    if (r == 0 && size && size <= CHECK_FILE_SIZE)
        r = blob_load(rules->repo, &f->old, &old);
    if (r < 0)
        return r;
    if (old)
        before = (struct file_text){old->data, old->size};
    check_conflict_marks(f->path, &text, old ? &before : NULL, findings);
    return 0;
}

static int check_content(const struct file_rules *rules, const struct changed_file *f,
                         uint64_t size, struct findings *findings)
{
    _cleanup_(blob_unrefp) struct blob *blob = NULL;
    const struct kind *kind = kind_of(rules, f->path);

    if (size > CHECK_FILE_SIZE) {
        if (kind)
            log_warn("not-checked", "path=\"%s\" check=%s bytes=%llu limit=%d", f->path, kind->name,
                     (unsigned long long)size, CHECK_FILE_SIZE);
        return 0;
    }
    int r = blob_load(rules->repo, &f->oid, &blob);
    if (r < 0)
        return r;
    if (kind)
        kind->run(f->path, blob->data, blob->size, findings);
    return check_conflicts(rules, f, blob, findings);
}

static int check_file(const struct file_rules *rules, const struct changed_file *f,
                      struct findings *findings)
{
    uint64_t size;
    int r;

    if (oid_equal(&f->oid, &f->old)) /* only the execute bit has changed */
        return 0;
    r = blob_size(rules->repo, &f->oid, &size);
    if (r < 0)
        return r;
    if (rules->most_file_size && size > rules->most_file_size)
        findings_add(findings, f->path, 1, 1, "size",
                     "the file has %llu bytes; this host takes at most %llu (limits: file_size)",
                     (unsigned long long)size, (unsigned long long)rules->most_file_size);
    return check_content(rules, f, size, findings);
}

int files_check(const struct file_rules *rules, const struct changed_file *files, size_t n,
                struct findings *findings, struct diag *reterr)
{
    for (size_t i = 0; i < n; i++) {
        int r = check_file(rules, &files[i], findings);
        if (r < 0)
            return diag_fail(reterr, r, "cannot read %s to check it: %s", files[i].path,
                             strerrordesc_np(-r));
    }
    return 0;
}
