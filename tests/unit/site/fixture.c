#include "fixture.h"
#include "written.h"

#include <stdlib.h>

#include "base/alloc.h"

static const char layout[] =
    "mkdir -p apps infrastructure clusters/eu clusters/us clusters/.hidden stores/0001 stores/0002 "
    "sites/hub dup/a/x dup/b/x 'odd/my site' && "
    "for d in apps infrastructure clusters/eu clusters/us clusters/.hidden stores/0001 stores/0002 "
    "sites/hub dup/a/x dup/b/x 'odd/my site'; do echo \"$d\" > \"$d/file\"; done && "
    "echo common > common.yaml && ln -s stores link && ln -s eu clusters/alias && git add -A && "
    "git update-index --add --cacheinfo "
    "160000,1111111111111111111111111111111111111111,clusters/module && "
    "git commit -qm tree";

int fixture_set_up(void **state)
{
    struct fixture *f = NEW(struct fixture);
    struct diag why = {0};

    f->dir = test_dir_new();
    f->path = test_repo_new(f->dir, "repo", "");
    test_run(f->path, "%s", layout);
    if (repo_open(f->path, &f->repo, &why) < 0)
        fail_msg("%s", diag_text(&why, 0));
    f->tree = fixture_rev(f, "HEAD^{tree}");
    *state = f;
    return 0;
}

int fixture_tear_down(void **state)
{
    struct fixture *f = *state;

    repo_free(f->repo);
    test_dir_free(f->dir);
    free(f->path);
    free(f);
    return 0;
}

struct oid fixture_rev(struct fixture *f, const char *expr)
{
    char *hex = test_output(f->path, "git rev-parse '%s'", expr);
    struct oid oid;

    assert_int_equal(oid_parse(hex, &oid), 0);
    free(hex);
    return oid;
}

struct oid fixture_tree(struct fixture *f, const char *onward)
{
    struct tree *base;
    struct oid oid;
    struct diag why = {0};

    assert_int_equal(tree_load(f->repo, &f->tree, &base), 0);
    struct tree_entry *entries = xcalloc(base->n + 1, sizeof(*entries));
    memcpy(entries, base->entries, base->n * sizeof(*entries));
    entries[base->n] = (struct tree_entry){.name = DECLARATION_FILE, .kind = ENTRY_FILE};
    assert_int_equal(blob_write(f->repo, onward, strlen(onward), &entries[base->n].oid, &why), 0);
    assert_int_equal(tree_write(f->repo, entries, base->n + 1, &oid, &why), 0);
    free(entries);
    tree_unref(base);
    return oid;
}

struct declaration *fixture_declare(struct fixture *f, const char *onward)
{
    struct findings findings = {0};
    struct buf text = {0};
    struct oid tree = fixture_tree(f, onward);
    struct declaration *d = NULL;

    if (declaration_load(f->repo, &tree, &d, &findings, NULL) < 0) {
        findings_render(&findings, &text);
        fail_msg("%s", buf_str(&text));
    }
    assert_int_equal(findings.n, 0);
    return d;
}
