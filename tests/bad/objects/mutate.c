/* Loose objects, packs and indexes with something changed, cut off or made to lie, always the same
 * ones. Each object is then read: it is right, or it is an error; only what was broken is one; it
 * is said; and no reading takes a second, or the program dies of the timer.
 *
 *     ONWARD_MUTANTS=10000 tests/bad/objects/mutate_objects      as many of each; 200 otherwise
 *     ONWARD_RAW=1 ONWARD_MUTANTS=200 …                          by libgit2's own readers instead
 *
 * The latter is no test: it counts how many kill or hold a reader that trusts them. */
#include "specimen.h"

#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zlib.h>

#include "base/buf.h"
#include "base/cleanup.h"

static size_t mutants_wanted(void)
{
    const char *n = getenv("ONWARD_MUTANTS");

    return n ? strtoul(n, NULL, 10) : 200;
}

/* A file that is being changed. */
struct mutant {
    unsigned char *data;
    size_t len, cap;
    size_t from, to; /* what was changed */
};

static void mutant_init(struct mutant *m, const struct specimen_file *f)
{
    *m = (struct mutant){.len = f->len, .cap = f->len + 4096};
    m->data = xcalloc(1, m->cap);
    memcpy(m->data, f->data, f->len);
}

static void change(struct mutant *m, size_t at, unsigned char byte)
{
    m->data[at] = byte;
    m->from = at;
    m->to = at + 1;
}

/* Something that happens to any file: bits, bytes, pieces, the end. */
static void change_anything(struct specimen *s, struct mutant *m)
{
    size_t at = specimen_random(s, m->len), n = 1 + specimen_random(s, 64);

    n = n < m->len - at ? n : m->len - at;
    switch (specimen_random(s, 6)) {
    case 0:
        change(m, at, m->data[at] ^ 1 << specimen_random(s, 8));
        break;
    case 1:
        change(m, at, specimen_random(s, 256));
        break;
    case 2:
        memset(m->data + at, specimen_random(s, 2) ? 0 : 0xff, n);
        m->from = at;
        m->to = at + n;
        break;
    case 3:
        for (size_t i = 0; i < n; i++)
            m->data[at + i] = specimen_random(s, 256);
        m->from = at;
        m->to = at + n;
        break;
    case 4:
        m->from = m->len = at;
        m->to = SIZE_MAX;
        break;
    case 5:
        m->from = m->len;
        m->to = SIZE_MAX;
        m->len += n;
        break;
    }
}

/* ---- libgit2's own readers, to compare with ---- */

static struct {
    bool wanted;
    int crashed, hung, of;
} raw;

/* Reads everything in a child. */
static void read_raw(struct specimen *s)
{
    pid_t child = fork();
    int status;

    if (child == 0) {
        git_odb *odb;
        _cleanup_free_ char *path = xasprintf("%s/.git/objects", s->path);
        alarm(2);
        if (git_odb_open(&odb, path) == 0)
            vec_foreach (o, &s->objects) {
                git_odb_object *got = NULL;
                git_odb_read(&got, odb, (const git_oid *)&o->oid);
                git_odb_object_free(got);
            }
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    raw.hung += WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM;
    raw.crashed += WIFSIGNALED(status) && WTERMSIG(status) != SIGALRM;
    raw.of++;
}

static size_t read_mutant(struct specimen *s, const struct specimen_file *f, struct mutant *m)
{
    size_t n = 0;

    specimen_put(f, m->data, m->len);
    if (raw.wanted)
        read_raw(s);
    else
        n = specimen_read(s);
    specimen_put(f, f->data, f->len);
    free(m->data);
    return n;
}

/* ---- loose objects ---- */

/* The object again, deflated, with another header or content than it should have. */
static void lie(struct specimen *s, const struct specimen_object *o, struct mutant *m)
{
    static const char *const types[] = {"blob", "tree", "commit", "tag", "blub", "", "b\nob"};
    static const char *const sizes[] = {"10",  "0",  "1099511627776", "99999999999999999999", "-1",
                                        "007", " 3", "4294967296",    "18446744073709551615"};
    _cleanup_(buf_done) struct buf plain = {0};
    uLongf n;

    if (specimen_random(s, 3))
        buf_addf(&plain, "%s %s", git_object_type2string(o->type),
                 sizes[specimen_random(s, ARRAY_SIZE(sizes))]);
    else
        buf_addf(&plain, "%s %zu", types[specimen_random(s, ARRAY_SIZE(types))], o->size);
    if (specimen_random(s, 10))
        buf_addc(&plain, 0);
    buf_add(&plain, o->data, o->size);
    if (specimen_random(s, 3) == 0)
        for (size_t i = 0; i < 100000; i++)
            buf_addc(&plain, 'x');
    n = compressBound(plain.len);
    free(m->data);
    m->data = xmalloc(n);
    assert_int_equal(compress(m->data, &n, (const Bytef *)plain.data, plain.len), Z_OK);
    m->len = n;
}

static void test_loose_objects(void **state)
{
    struct specimen *s = specimen_new(false);

    assert_int_equal(specimen_read(s), s->objects.n);
    for (size_t i = 0; i < mutants_wanted(); i++) {
        size_t number = specimen_random(s, s->objects.n);
        const struct specimen_object *o = &s->objects.v[number];
        struct mutant m;
        mutant_init(&m, &o->loose);
        if (i % 3)
            change_anything(s, &m);
        else
            lie(s, o, &m);
        specimen_hurt_none(s);
        specimen_hurt(s, number);
        read_mutant(s, &o->loose, &m);
    }
    specimen_free(s);
}

/* ---- packs ---- */

/* Type, size, distance of the base: the first bytes of an entry; or of its deflated form. */
static void change_entry(struct specimen *s, struct mutant *m)
{
    const struct specimen_object *o = &s->objects.v[specimen_random(s, s->objects.n)];
    size_t at = o->at + specimen_random(s, 6);

    change(m, at,
           specimen_random(s, 2) ? m->data[at] ^ 1 << specimen_random(s, 8)
                                 : (int)specimen_random(s, 256));
}

/* One entry over another: a delta to itself, to what comes later, a chain that ends nowhere. */
static void copy_entry(struct specimen *s, struct mutant *m)
{
    const struct specimen_object *a = &s->objects.v[specimen_random(s, s->objects.n)];
    const struct specimen_object *b = &s->objects.v[specimen_random(s, s->objects.n)];
    size_t n = a->end - a->at;

    if (b->at + n > m->len - OID_RAW)
        n = m->len - OID_RAW - b->at;
    memmove(m->data + b->at, m->data + a->at, n);
    m->from = b->at;
    m->to = b->at + n;
}

static void test_packs(void **state)
{
    struct specimen *s = specimen_new(true);
    size_t got = 0, n = mutants_wanted();

    assert_int_equal(specimen_read(s), s->objects.n);
    for (size_t i = 0; i < n; i++) {
        struct mutant m;
        mutant_init(&m, &s->pack);
        if (i % 4 == 0)
            change_anything(s, &m);
        else if (i % 4 == 1)
            copy_entry(s, &m);
        else
            change_entry(s, &m);
        specimen_hurt_none(s);
        specimen_hurt_range(s, m.from, m.to);
        got += read_mutant(s, &s->pack, &m);
    }
    assert_true(raw.wanted || got > n * s->objects.n / 2);
    specimen_free(s);
}

/* ---- indexes ---- */

enum { FANOUT = 8, IDS = FANOUT + 256 * 4 };

/* Where things are in the index, whose objects are numbered as ours. */
static size_t offsets_at(const struct specimen *s)
{
    return IDS + s->objects.n * (OID_RAW + 4);
}

/* An offset to anywhere: outside, into the midst of things, to another object. */
static void change_offset(struct specimen *s, struct mutant *m)
{
    static const uint32_t places[] = {0, 1, 11, 0x7fffffff, 0x80000000, 0x80000001, 0xffffffff};
    size_t number = specimen_random(s, s->objects.n), k = specimen_random(s, 3);
    uint64_t to = k == 0   ? places[specimen_random(s, ARRAY_SIZE(places))]
                  : k == 1 ? specimen_random(s, s->pack.len + 100)
                           : s->objects.v[specimen_random(s, s->objects.n)].at;

    m->from = offsets_at(s) + 4 * number;
    m->to = m->from + 4;
    for (int i = 0; i < 4; i++)
        m->data[m->from + i] = to >> (24 - 8 * i);
}

/* What a change of the index may make unreadable: an id or an offset concerns one object, and what
 * is found by its id; the sums of the CRCs and of the index concern none. */
static void hurt_by_index(struct specimen *s, const struct mutant *m)
{
    size_t n = s->objects.n, offsets = offsets_at(s), trailer = offsets + 4 * n;

    specimen_hurt_none(s);
    if (m->from < IDS || m->to > trailer + 2 * OID_RAW ||
        (m->to > trailer && m->from < trailer + OID_RAW))
        specimen_hurt_all(s);
    /* Ids out of order lead the search astray: others are missed, too. */
    if (m->from < IDS + n * OID_RAW)
        specimen_hurt_all(s);
    for (size_t i = 0; i < n; i++)
        if (m->from < offsets + 4 * i + 4 && m->to > offsets + 4 * i)
            s->hurt[i] = true;
}

static void test_indexes(void **state)
{
    struct specimen *s = specimen_new(true);
    size_t got = 0, n = mutants_wanted();

    for (size_t i = 0; i < n; i++) {
        struct mutant m;
        mutant_init(&m, &s->index);
        if (i % 2)
            change_anything(s, &m);
        else
            change_offset(s, &m);
        hurt_by_index(s, &m);
        got += read_mutant(s, &s->index, &m);
    }
    assert_true(raw.wanted || got > n * s->objects.n / 2);
    specimen_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_loose_objects),
        cmocka_unit_test(test_packs),
        cmocka_unit_test(test_indexes),
    };

    raw.wanted = getenv("ONWARD_RAW") != NULL;
    int r = cmocka_run_group_tests_name("mutated objects", tests, NULL, NULL);
    if (raw.wanted)
        fprintf(stderr, "libgit2: of %d, %d crashed, %d hung\n", raw.of, raw.crashed, raw.hung);
    return r;
}
