#include "fixture.h"

#include <errno.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/clock.h"

int fixture_setup(void **state)
{
    struct fixture *f = NEW(struct fixture);
    _cleanup_(diag_done) struct diag why = {0};

    f->dir = test_dir_new();
    f->path = test_repo_new(f->dir, "infra.git", "--bare");
    if (repo_open(f->path, &f->repo, &why) < 0)
        fail_msg("%s", diag_text(&why, -EIO));
    *state = f;
    return 0;
}

int fixture_teardown(void **state)
{
    struct fixture *f = *state;

    repo_free(f->repo);
    free(f->path);
    test_dir_free(f->dir);
    free(f);
    return 0;
}

struct oid oid_number(int n)
{
    struct oid oid = {0};

    memcpy(oid.id, &n, sizeof(n));
    return oid;
}

struct record make_record(const char *site, uint64_t generation, enum record_kind kind)
{
    return (struct record){.site = xstrdup(site),
                           .generation = generation,
                           .kind = kind,
                           .to = oid_number(generation),
                           .inputs = oid_number(1000 + generation),
                           .source = xstrdup("sites/a"),
                           .attempt = 1,
                           .exit = -1,
                           .by = xstrdup("onwardfs"),
                           .at = clock_real()};
}

void append(struct ledger *l, const char *site, uint64_t generation, enum record_kind kind)
{
    _cleanup_(record_done) struct record r = make_record(site, generation, kind);
    _cleanup_(diag_done) struct diag why = {0};

    if (ledger_append(l, &r, 1, &why) < 0)
        fail_msg("%s", diag_text(&why, -EIO));
}

struct ledger *open_ledger(struct fixture *f, const char *host)
{
    _cleanup_(diag_done) struct diag why = {0};
    struct ledger *l = NULL;

    if (ledger_open(f->repo, host, &l, &why) < 0)
        fail_msg("%s", diag_text(&why, -EIO));
    return l;
}

static int add(const struct record *r, void *arg)
{
    struct buf *out = arg;

    buf_addf(out, "%s%llu:%s", out->len ? " " : "", (unsigned long long)r->generation,
             record_kind_name(r->kind));
    return 0;
}

char *history(struct ledger *l, const char *site)
{
    struct buf out = {0};

    assert_int_equal(ledger_history(l, site, add, &out, NULL), 0);
    return buf_take(&out);
}

void unpack(struct fixture *f)
{
    test_run(f->path, "mkdir packs && mv objects/pack/*.pack packs && rm -f objects/pack/* && "
                      "for p in packs/*; do git unpack-objects -q < $p; done && rm -r packs");
}
