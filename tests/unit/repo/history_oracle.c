#include "history_oracle.h"

#include <errno.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/map.h"
#include "fixture.h"

/* ---- random histories ---- */

static unsigned dice(unsigned *seed, unsigned sides)
{
    return (unsigned)rand_r(seed) / 7 % sides;
}

/* Bytes as fast-import reads them in quotes. */
static void add_quoted(struct buf *b, const char *s)
{
    for (; *s; s++)
        buf_addf(b, "\\%03o", (unsigned char)*s);
}

static void add_path(struct buf *b, unsigned *seed)
{
    static const char *const names[] = {"a",      "b",        "a.b",    "a-b", "x y", "q\"uote",
                                        "new\nl", "\xff\xfe", ":(top)", "-n",  "A"};

    buf_addc(b, '"');
    for (unsigned depth = dice(seed, 4);; depth--) {
        add_quoted(b, names[dice(seed, depth ? 3 : ARRAY_SIZE(names))]);
        if (!depth)
            break;
        buf_addc(b, '/');
    }
    buf_addc(b, '"');
}

/* A change of one path. What was there, file or directory, is replaced. */
static void add_operation(struct buf *b, unsigned *seed)
{
    static const char *const modes[] = {"100644", "100755", "120000"};
    unsigned kind = dice(seed, 10);

    if (kind < 3) {
        buf_adds(b, "D ");
        add_path(b, seed);
        buf_addc(b, '\n');
    } else if (kind == 3) {
        buf_addf(b, "M 160000 %040x ", 1 + dice(seed, 3));
        add_path(b, seed);
        buf_addc(b, '\n');
    } else {
        buf_addf(b, "M %s inline ", modes[kind < 8 ? 0 : dice(seed, 3)]);
        add_path(b, seed);
        buf_addf(b, "\ndata 1\n%u\n", dice(seed, 6));
    }
}

struct stream {
    struct buf text;
    unsigned seed;
    int mark, main, side; /* marks of the last commits; 0: none */
    int64_t time;
    const char *from;
};

static void add_commit(struct stream *s, const char *branch, int parent, int second)
{
    s->time += (int64_t)dice(&s->seed, 1000) - 300;
    buf_addf(&s->text, "commit refs/heads/%s\nmark :%d\ncommitter C <c@x> %lld +0000\ndata 1\nx\n",
             branch, ++s->mark, (long long)s->time);
    if (parent)
        buf_addf(&s->text, "from :%d\n", parent);
    else if (s->from)
        buf_addf(&s->text, "from %s\n", s->from);
    if (second)
        buf_addf(&s->text, "merge :%d\n", second);
    for (unsigned n = dice(&s->seed, 6); n; n--)
        add_operation(&s->text, &s->seed);
    buf_addc(&s->text, '\n');
}

static void add_commits(struct stream *s, int n)
{
    while (n--) {
        if (s->main && dice(&s->seed, 4) == 0) {
            add_commit(s, "side", dice(&s->seed, 2) && s->side ? s->side : s->main, 0);
            s->side = s->mark;
        }
        bool merge = s->side && dice(&s->seed, 5) == 0;
        add_commit(s, "main", s->main, merge ? s->side : 0);
        s->main = s->mark;
    }
}

static void import(const char *path, struct stream *s)
{
    test_write_bytes(path, "stream", s->text.data, s->text.len);
    test_run(path, "git fast-import --quiet --force <stream; rm stream");
    buf_done(&s->text);
}

void history_random(const char *path, unsigned seed, int n, const char *from)
{
    struct stream s = {.seed = seed, .from = from, .time = TEST_TIME};

    add_commits(&s, n);
    import(path, &s);
}

void history_random_turn(const char *path, unsigned seed, int n, const char *from)
{
    struct stream s = {.seed = seed, .from = from, .time = TEST_TIME};

    add_commits(&s, n / 2);
    add_commit(&s, "side", s.main, 0);
    s.side = s.mark;
    add_commits(&s, n / 2);
    add_commit(&s, "main", s.side, s.main);
    import(path, &s);
}

/* ---- the oracle ---- */

struct thing {
    enum entry_kind kind;
    struct oid oid;
};

/* A revision, and what is at which path in it. */
struct moment {
    struct history_revision rev;
    struct map things;
};

struct oracle {
    char *path;
    VEC(struct moment) line;
    VEC(char *) paths; /* that ever were, sorted */
};

static enum entry_kind kind_of(const char *mode)
{
    static const char *const modes[] = {"100644", "100755", "120000", "040000", "160000"};

    for (size_t i = 0; i < ARRAY_SIZE(modes); i++)
        if (!strncmp(mode, modes[i], 6))
            return (enum entry_kind)i;
    fail_msg("mode of '%s'", mode);
    return ENTRY_FILE;
}

/* "100644 blob <id>\tpath" */
static void add_thing(struct moment *m, const char *line)
{
    struct thing *t = NEW(struct thing);
    const char *tab = strchr(line, '\t');
    char hex[OID_HEX + 1] = "";

    memcpy(hex, tab - OID_HEX, OID_HEX);
    t->kind = kind_of(line);
    t->oid = oid_of(hex);
    assert_null(map_put(&m->things, tab + 1, t));
}

/* "<id> <tree> <time>" */
static void add_moment(struct oracle *o, const char *line)
{
    struct moment *m = VEC_ADD(&o->line);
    struct thing *root = NEW(struct thing);
    char hex[OID_HEX + 1] = "";

    memcpy(hex, line, OID_HEX);
    m->rev.oid = oid_of(hex);
    memcpy(hex, line + OID_HEX + 1, OID_HEX);
    root->oid = oid_of(hex);
    root->kind = ENTRY_DIR;
    m->rev.time = strtoll(line + 2 * (OID_HEX + 1), NULL, 10);
    m->rev.pos = o->line.n - 1;
    assert_null(map_put(&m->things, "", root));
}

static int compare_strings(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void collect_paths(struct oracle *o)
{
    struct map seen = {0};

    vec_foreach (m, &o->line)
        map_foreach (it, &m->things)
            if (!map_put(&seen, it->key, o))
                *VEC_ADD(&o->paths) = xstrdup(it->key);
    map_done(&seen, NULL);
    qsort(o->paths.v, o->paths.n, sizeof(*o->paths.v), compare_strings);
}

struct oracle *oracle_new(const char *path, const char *rev)
{
    struct oracle *o = NEW(struct oracle);
    size_t len;

    o->path = xstrdup(path);
    /* An empty name ends a revision, whose own line begins it. */
    test_run(path,
             "git log --first-parent --reverse --format='%%H %%T %%ct' '%s' >oracle.line\n"
             "while read id tree time; do printf '%%s\\0' \"$id $tree $time\"; "
             "git ls-tree -rtz $id; printf '\\0'; done <oracle.line >oracle",
             rev);
    _cleanup_free_ char *text = test_read_file(path, "oracle", &len);
    for (char *at = text; at < text + len; at++) {
        add_moment(o, at);
        while (*(at += strlen(at) + 1))
            add_thing(&o->line.v[o->line.n - 1], at);
    }
    test_run(path, "rm oracle oracle.line");
    collect_paths(o);
    return o;
}

void oracle_free(struct oracle *o)
{
    vec_foreach (m, &o->line)
        map_done(&m->things, free);
    vec_foreach (p, &o->paths)
        free(*p);
    free(o->line.v);
    free(o->paths.v);
    free(o->path);
    free(o);
}

struct oid oracle_head(const struct oracle *o)
{
    return o->line.v[o->line.n - 1].rev.oid;
}

uint32_t oracle_count(const struct oracle *o)
{
    return o->line.n;
}

static const struct thing *thing_at(const struct oracle *o, int64_t pos, const char *path)
{
    return pos < 0 ? NULL : map_get(&o->line.v[pos].things, path);
}

static bool same_thing(const struct thing *a, const struct thing *b)
{
    return (!a && !b) || (a && b && a->kind == b->kind && oid_equal(&a->oid, &b->oid));
}

/* Whether `path` is an entry of `dir`; its name. */
static const char *name_in(const char *dir, const char *path)
{
    size_t len = strlen(dir);

    if (strncmp(dir, path, len) || !path[len] || (len && path[len] != '/'))
        return NULL;
    const char *name = path + len + (len > 0);
    return strchr(name, '/') ? NULL : name;
}

static bool listing_changed(const struct oracle *o, uint32_t pos, const char *dir)
{
    const struct thing *before = thing_at(o, (int64_t)pos - 1, dir);

    if (!before || before->kind != ENTRY_DIR)
        return true;
    vec_foreach (p, &o->paths) {
        if (!name_in(dir, *p))
            continue;
        const struct thing *a = thing_at(o, (int64_t)pos - 1, *p), *b = thing_at(o, pos, *p);
        if (!a != !b || (a && a->kind != b->kind))
            return true;
    }
    return false;
}

struct changes {
    VEC(struct history_change);
};

static struct changes expected_changes(const struct oracle *o, const char *path)
{
    struct changes all = {0};

    for (uint32_t pos = 0; pos < o->line.n; pos++) {
        const struct thing *now = thing_at(o, pos, path);
        if (same_thing(now, thing_at(o, (int64_t)pos - 1, path)))
            continue;
        struct history_change *c = VEC_ADD(&all);
        c->pos = pos;
        c->number = all.n;
        c->there = now;
        if (now) {
            c->kind = now->kind;
            c->oid = now->oid;
            c->listing = now->kind == ENTRY_DIR && listing_changed(o, pos, path);
        }
    }
    return all;
}

/* ---- asking ---- */

static int collect_change(const struct history_change *change, void *arg)
{
    *VEC_ADD((struct changes *)arg) = *change;
    return 0;
}

static void assert_change(const char *path, const struct history_change *x,
                          const struct history_change *y)
{
    if (x->pos != y->pos || x->number != y->number || x->there != y->there ||
        (y->there &&
         (x->kind != y->kind || !oid_equal(&x->oid, &y->oid) || x->listing != y->listing)))
        fail_msg("'%s': change %u at %u there %d kind %d listing %d; should be %u at %u %d %d %d",
                 path, x->number, x->pos, x->there, x->kind, x->listing, y->number, y->pos,
                 y->there, y->kind, y->listing);
}

static void assert_changes(struct oracle *o, struct history_index *ix, const char *path)
{
    struct changes want = expected_changes(o, path), got = {0}, back = {0};
    struct history_change last;
    path_id id;
    size_t next = 0;

    if (history_index_path(ix, path, &id) < 0)
        fail_msg("no path '%s'", path);
    assert_int_equal(history_index_changes(ix, id, 0, collect_change, &got), 0);
    assert_int_equal(history_index_changes_back(ix, id, UINT32_MAX, collect_change, &back), 0);
    if (got.n != want.n || back.n != want.n)
        fail_msg("'%s' has %zu and %zu changes, not %zu", path, got.n, back.n, want.n);
    for (size_t i = 0; i < want.n; i++) {
        assert_change(path, &got.v[i], &want.v[i]);
        assert_change(path, &back.v[want.n - 1 - i], &want.v[i]);
    }
    for (uint32_t pos = 0; pos < o->line.n; pos++) {
        while (next < want.n && want.v[next].pos <= pos)
            next++;
        int r = history_index_last_change(ix, id, pos, &last);
        assert_int_equal(r, next ? 0 : -ENOENT);
        if (next)
            assert_change(path, &last, &want.v[next - 1]);
    }
    free(want.v);
    free(got.v);
    free(back.v);
}

struct names {
    VEC(char *);
    path_id last;
};

static int collect_name(path_id id, const char *name, void *arg)
{
    struct names *names = arg;

    *VEC_ADD(names) = xstrdup(name);
    names->last = id;
    return 0;
}

/* The first one only. */
static int collect_one(path_id id, const char *name, void *arg)
{
    collect_name(id, name, arg);
    return 1;
}

static void assert_children(struct oracle *o, struct history_index *ix, const char *dir)
{
    struct names all = {0}, one_by_one = {0};
    size_t n = 0;
    path_id id;

    assert_int_equal(history_index_path(ix, dir, &id), 0);
    assert_int_equal(history_index_children(ix, id, PATH_ROOT, collect_name, &all), 0);
    while (history_index_children(ix, id, one_by_one.last, collect_one, &one_by_one) == 1)
        ;
    /* Sorted paths are not sorted names: "a/b" lies between "a" and "a0", but not in one dir. */
    vec_foreach (p, &o->paths) {
        const char *name = name_in(dir, *p);
        if (!name)
            continue;
        if (n >= all.n || strcmp(all.v[n], name) || strcmp(one_by_one.v[n], name))
            fail_msg("'%s': child %zu should be '%s'", dir, n, name);
        n++;
    }
    assert_int_equal(all.n, n);
    assert_int_equal(one_by_one.n, n);
    vec_foreach (p, &all)
        free(*p);
    vec_foreach (p, &one_by_one)
        free(*p);
    free(all.v);
    free(one_by_one.v);
}

static void assert_revision(const struct history_revision *x, const struct history_revision *y)
{
    assert_int_equal(x->pos, y->pos);
    assert_int_equal(x->time, y->time);
    assert_oid_equal(&x->oid, &y->oid);
}

static int check_revision(const struct history_revision *rev, void *arg)
{
    struct moment **next = arg;

    assert_revision(rev, &(*next)++->rev);
    return 0;
}

static void assert_revisions(struct oracle *o, struct history_index *ix)
{
    struct moment *next = o->line.v;
    struct history_revision rev;
    char hex[OID_HEX + 1];
    uint32_t count;

    assert_int_equal(history_index_count(ix, &count), 0);
    assert_int_equal(count, o->line.n);
    assert_int_equal(history_index_at(ix, count, &rev), -ENOENT);
    assert_int_equal(history_index_revisions(ix, 0, check_revision, &next), 0);
    assert_ptr_equal(next, o->line.v + o->line.n);
    vec_foreach (m, &o->line) {
        assert_int_equal(history_index_at(ix, m->rev.pos, &rev), 0);
        assert_revision(&rev, &m->rev);
        assert_int_equal(history_index_find(ix, &m->rev.oid, &rev), 0);
        assert_revision(&rev, &m->rev);
        oid_hex(&m->rev.oid, hex);
        hex[17] = 0;
        assert_int_equal(history_index_find_abbrev(ix, hex, &rev), 0);
        assert_revision(&rev, &m->rev);
    }
}

static void assert_at_time(struct oracle *o, struct history_index *ix, int64_t time)
{
    const struct history_revision *want = NULL;
    struct history_revision rev;

    vec_foreach (m, &o->line)
        if (m->rev.time <= time)
            want = &m->rev;
    assert_int_equal(history_index_at_time(ix, time, &rev), want ? 0 : -ENOENT);
    if (want)
        assert_revision(&rev, want);
}

void oracle_assert_answers(struct oracle *o, struct history_index *ix)
{
    assert_revisions(o, ix);
    assert_at_time(o, ix, INT64_MIN);
    assert_at_time(o, ix, INT64_MAX);
    vec_foreach (m, &o->line)
        for (int d = -1; d <= 1; d++)
            assert_at_time(o, ix, m->rev.time + d);
    vec_foreach (p, &o->paths) {
        assert_changes(o, ix, *p);
        assert_children(o, ix, *p);
    }
}

void history_go_to(struct history_index *ix, const struct oid *head)
{
    struct history_progress p;

    history_index_follow(ix, head);
    int r = history_index_wait(ix, 60 * NS_PER_SEC);
    history_index_progress(ix, &p);
    if (r < 0 || !p.current || p.done != p.total || *p.problem)
        fail_msg("%s: current %d, %u of %u, problem '%s'", strerror(-r), p.current, p.done, p.total,
                 p.problem);
}

struct history_index *history_open_at(struct repo *repo, const char *dir, const struct oid *head)
{
    struct history_index *ix;

    assert_int_equal(history_index_open(repo, dir, &ix, NULL), 0);
    history_go_to(ix, head);
    return ix;
}
