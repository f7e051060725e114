#include "fixture.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/metric.h"

int fixture_setup(void **state)
{
    struct fixture *f = NEW(struct fixture);

    f->dir = test_dir_new();
    f->path = test_repo_new(f->dir, "work", NULL);
    assert_int_equal(repo_open(f->path, &f->repo, NULL), 0);
    *state = f;
    return 0;
}

int fixture_teardown(void **state)
{
    struct fixture *f = *state;

    repo_free(f->repo);
    test_dir_free(f->dir);
    free(f->path);
    free(f);
    return 0;
}

void fixture_reopen(struct fixture *f)
{
    repo_free(f->repo);
    f->repo = NULL;
    assert_int_equal(repo_open(f->path, &f->repo, NULL), 0);
}

struct oid oid_of(const char *hex)
{
    struct oid oid;

    if (oid_parse(hex, &oid) < 0)
        fail_msg("not an id: '%s'", hex);
    return oid;
}

struct oid oid_from(const char *dir, const char *fmt, ...)
{
    _cleanup_(buf_done) struct buf command = {0};
    va_list ap;

    va_start(ap, fmt);
    buf_vaddf(&command, fmt, ap);
    va_end(ap);
    _cleanup_free_ char *hex = test_output(dir, "%s", buf_str(&command));
    return oid_of(hex);
}

void assert_oid_is(const struct oid *oid, const char *dir, const char *rev)
{
    _cleanup_free_ char *theirs = test_output(dir, "git rev-parse '%s'", rev);
    char ours[OID_HEX + 1];

    assert_string_equal(oid_hex(oid, ours), theirs);
}

void assert_oid_equal(const struct oid *a, const struct oid *b)
{
    char x[OID_HEX + 1], y[OID_HEX + 1];

    assert_string_equal(oid_hex(a, x), oid_hex(b, y));
}

int64_t metric_value(const char *name)
{
    _cleanup_(buf_done) struct buf text = {0};
    _cleanup_free_ char *start = xasprintf("\n%s ", name);

    metric_render(&text);
    const char *at = strstr(text.data, start);
    assert_non_null(at);
    return strtoll(at + strlen(start), NULL, 10);
}

struct oid write_literally(const char *dir, const char *type, const void *data, size_t len)
{
    test_write_bytes(dir, ".git/literal", data, len);
    return oid_from(dir, "git hash-object -t %s --literally -w --stdin <.git/literal", type);
}
