#include "fixture.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "repo/revision.h"

int fixture_setup(void **state)
{
    struct fixture *f = NEW(struct fixture);

    f->dir = test_dir_new();
    f->work = test_repo_new(f->dir, "work", NULL);
    f->mount = xasprintf("%s/mount", f->dir);
    test_run(f->dir, "mkdir -p mount/revisions");
    assert_int_equal(repo_open(f->work, &f->repo, NULL), 0);
    *state = f;
    return 0;
}

int fixture_teardown(void **state)
{
    struct fixture *f = *state;

    repo_free(f->repo);
    test_dir_free(f->dir);
    free(f->work);
    free(f->mount);
    free(f);
    return 0;
}

void show_revision(struct fixture *f, const struct oid *rev)
{
    char hex[OID_HEX + 1];

    oid_hex(rev, hex);
    test_run(f->work,
             "mkdir -p ../mount/revisions/%s && git archive %s | tar x -C "
             "../mount/revisions/%s",
             hex, hex, hex);
}

struct oid add_revision(struct fixture *f, const char *message)
{
    struct oid rev;

    test_run(f->work, "git add -A && git commit -q --allow-empty -m '%s'", message);
    _cleanup_free_ char *hex = test_output(f->work, "git rev-parse HEAD");
    assert_int_equal(oid_parse(hex, &rev), 0);
    show_revision(f, &rev);
    return rev;
}

struct oid tree_of(struct fixture *f, const struct oid *rev)
{
    struct revision_brief brief;

    assert_int_equal(revision_brief(f->repo, rev, &brief), 0);
    return brief.tree;
}

struct oid oid_number(int n)
{
    struct oid oid = {0};

    memcpy(oid.id, &n, sizeof(n));
    return oid;
}

struct site *site_new(void)
{
    struct site *s = NEW(struct site);
    struct label *l = VEC_ADD(&s->labels);

    s->name = xstrdup("store-1");
    s->source = xstrdup("stores/1");
    s->team = xstrdup("retail");
    s->backend = xstrdup("test");
    *VEC_ADD(&s->include) = xstrdup("common");
    *l = (struct label){xstrdup("ring"), xstrdup("canary")};
    return s;
}

void site_free(struct site *s)
{
    vec_foreach (path, &s->include)
        free(*path);
    vec_foreach (l, &s->labels) {
        free(l->key);
        free(l->value);
    }
    free(s->include.v);
    free(s->labels.v);
    free(s->name);
    free(s->source);
    free(s->team);
    free(s->backend);
    free(s);
}

struct backend_request make_request(struct fixture *f, const struct site *s, const struct oid *to)
{
    return (struct backend_request){.verb = VERB_APPLY,
                                    .site = s,
                                    .generation = 7,
                                    .attempt = 2,
                                    .to = *to,
                                    .to_tree = tree_of(f, to),
                                    .mountpoint = f->mount,
                                    .timeout = 60 * NS_PER_SEC,
                                    .kill_after = 10 * NS_PER_SEC,
                                    .stop_fd = -1};
}
