#include "specimen.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/time.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "repo/handle.h"
#include "repo/source.h"

/* No object may take longer, in time of this process, so that a busy machine does not count. */
#define SLOW 1

#define HISTORY                                                                                    \
    "git init -q -b main .; git config user.name x; git config user.email x@y;"                    \
    "for i in 1 2 3 4; do seq $i 40 90 >numbers; seq 2000 | sed s,$i,x, >large;"                   \
    "mkdir -p d/$i; echo $i >d/$i/f; : >empty; git add -A; git commit -qm $i; done;"               \
    "printf '\\0\\1\\2' >bin; ln -s bin link; git add -A; git commit -qm link; git tag -am t v1;"

/* Everything that git has of the repository. */
static void learn(struct specimen *s)
{
    _cleanup_free_ char *list =
        test_output(s->path, "git cat-file --batch-all-objects "
                             "--batch-check='%%(objectname) %%(objecttype)'");
    char *rest = list, *line;

    while ((line = strsep(&rest, "\n"))) {
        struct specimen_object *o = VEC_ADD(&s->objects);
        char *type = line + OID_HEX + 1;
        line[OID_HEX] = 0;
        assert_int_equal(oid_parse(line, &o->oid), 0);
        o->type = git_object_string2type(type);
        test_run(s->path, "git cat-file %s %s >../content", type, line);
        o->data = test_read_file(s->dir, "content", &o->size);
        o->base = o->number = s->objects.n - 1; /* they come in the order of ids */
    }
}

static size_t find(struct specimen *s, const char *hex)
{
    struct oid oid;

    assert_int_equal(oid_parse(hex, &oid), 0);
    for (size_t i = 0; i < s->objects.n; i++)
        if (oid_equal(&s->objects.v[i].oid, &oid))
            return i;
    fail_msg("no object %s", hex);
    return 0;
}

static void load(struct specimen_file *f, char *path)
{
    f->path = path;
    f->data = (unsigned char *)test_read_file("/", path, &f->len);
}

/* "id type size size-in-pack offset [depth base]" */
static void learn_place(struct specimen *s, char *line)
{
    char base[OID_HEX + 1] = "", hex[OID_HEX + 1];
    uint64_t size, at;

    if (sscanf(line, "%40s %*s %*u %" SCNu64 " %" SCNu64 " %*u %40s", hex, &size, &at, base) < 3 ||
        strlen(hex) != OID_HEX)
        return;
    struct specimen_object *o = &s->objects.v[find(s, hex)];
    o->at = at;
    o->end = at + size;
    o->base = *base ? find(s, base) : o->number;
}

static void learn_pack(struct specimen *s)
{
    _cleanup_free_ char *list = test_output(s->path, "git verify-pack -v .git/objects/pack/*.idx");
    char *rest = list, *line;

    load(&s->pack, test_output(s->path, "ls $PWD/.git/objects/pack/*.pack"));
    load(&s->index, test_output(s->path, "ls $PWD/.git/objects/pack/*.idx"));
    while ((line = strsep(&rest, "\n")))
        learn_place(s, line);
}

static void learn_loose(struct specimen *s)
{
    char hex[OID_HEX + 1];

    vec_foreach (o, &s->objects) {
        oid_hex(&o->oid, hex);
        load(&o->loose, xasprintf("%s/.git/objects/%.2s/%s", s->path, hex, hex + 2));
    }
}

static void on_fault(const struct repo_fault *fault, void *arg)
{
    ((struct specimen *)arg)->said++;
}

struct specimen *specimen_new(bool packed)
{
    struct specimen *s = NEW(struct specimen);

    s->dir = test_dir_new();
    s->path = xasprintf("%s/repo", s->dir);
    s->random = 1;
    test_run(s->dir, "mkdir repo; cd repo; " HISTORY "%s; chmod -R u+w .git",
             packed ? "git repack -qadf --depth=20; git prune-packed" : ":");
    learn(s);
    s->hurt = xcalloc(s->objects.n, sizeof(*s->hurt));
    if (packed)
        learn_pack(s);
    else
        learn_loose(s);
    return s;
}

static void file_done(struct specimen_file *f)
{
    free(f->path);
    free(f->data);
}

void specimen_free(struct specimen *s)
{
    repo_free(s->repo);
    vec_foreach (o, &s->objects) {
        free(o->data);
        file_done(&o->loose);
    }
    free(s->objects.v);
    file_done(&s->pack);
    file_done(&s->index);
    test_dir_free(s->dir);
    free(s->path);
    free(s->hurt);
    free(s);
}

size_t specimen_random(struct specimen *s, size_t n)
{
    s->random = s->random * UINT64_C(6364136223846793005) + 1442695040888963407;
    return (s->random >> 33) % n;
}

void specimen_put(const struct specimen_file *file, const void *data, size_t len)
{
    test_write_bytes("/", file->path, data, len);
}

void specimen_hurt_none(struct specimen *s)
{
    memset(s->hurt, 0, s->objects.n * sizeof(*s->hurt));
}

void specimen_hurt_all(struct specimen *s)
{
    memset(s->hurt, 1, s->objects.n * sizeof(*s->hurt));
}

static bool is_made_of(const struct specimen *s, size_t object, size_t base)
{
    while (object != base && s->objects.v[object].base != object)
        object = s->objects.v[object].base;
    return object == base;
}

void specimen_hurt(struct specimen *s, size_t object)
{
    for (size_t i = 0; i < s->objects.n; i++)
        s->hurt[i] |= is_made_of(s, i, object);
}

void specimen_hurt_range(struct specimen *s, size_t from, size_t to)
{
    for (size_t i = 0; i < s->objects.n; i++)
        if (s->objects.v[i].at < to && s->objects.v[i].end > from)
            specimen_hurt(s, i);
    if (from < 12 || to > s->pack.len - OID_RAW)
        specimen_hurt_all(s);
}

static void assert_same(const struct specimen_object *o, git_object_t type, const void *data,
                        size_t size)
{
    char hex[OID_HEX + 1];

    if (type != o->type || size != o->size || memcmp(data, o->data, size))
        fail_msg("wrong bytes for %s", oid_hex(&o->oid, hex));
}

static int read_by_libgit2(struct specimen *s, const struct specimen_object *o)
{
    _cleanup_(handle_give_backp) struct handle *h = NULL;
    git_odb_object *got = NULL;

    assert_int_equal(handle_borrow(s->repo, &h, NULL), 0);
    int code = git_odb_read(&got, h->odb, (const git_oid *)&o->oid);
    if (code == 0)
        assert_same(o, git_odb_object_type(got), git_odb_object_data(got),
                    git_odb_object_size(got));
    git_odb_object_free(got);
    return code;
}

/* Returns whether it could be read. */
static bool read_one(struct specimen *s, size_t number)
{
    const struct specimen_object *o = &s->objects.v[number];
    _cleanup_(unpacked_done) struct unpacked got = {0};
    char hex[OID_HEX + 1];
    git_object_t type;
    uint64_t size;

    source_header(s->repo->source, &o->oid, &type, &size);
    int r = source_read(s->repo->source, &o->oid, UINT64_MAX, &got);
    if (r == 0)
        assert_same(o, got.type, got.data, got.size);
    else if (!s->hurt[number])
        fail_msg("%s is whole, but cannot be read: %d", oid_hex(&o->oid, hex), r);
    assert_true((read_by_libgit2(s, o) == 0) == (r == 0));
    /* A missing one is said by who wanted it; the pack that should have it was said before. */
    assert_true(r == 0 || r == -EIO || (r == -ENOENT && s->said));
    return r == 0;
}

static void arm(int seconds)
{
    struct itimerval t = {.it_value.tv_sec = seconds};

    assert_int_equal(setitimer(ITIMER_PROF, &t, NULL), 0);
}

size_t specimen_read(struct specimen *s)
{
    size_t n = 0;

    s->said = 0;
    repo_free(s->repo);
    s->repo = NULL;
    assert_int_equal(repo_open(s->path, &s->repo, NULL), 0);
    repo_on_fault(s->repo, on_fault, s);
    for (size_t i = 0; i < s->objects.n; i++) {
        arm(SLOW);
        n += read_one(s, i);
    }
    arm(0);
    if (n < s->objects.n)
        assert_true(s->said > 0);
    return n;
}
