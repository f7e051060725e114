#include "fixture.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"

static void must(int r, struct diag *why)
{
    if (r < 0)
        fail_msg("%s", diag_text(why, r));
}

static void no_text(void *ctx, struct buf *out)
{
}

static int no_command(void *ctx, const struct caller *who, const char *line, struct buf *answer,
                      struct diag *reterr)
{
    return diag_fail(reterr, -EINVAL, "no");
}

/* Tells the index where the mainline is. */
static void follow(struct fixture *f)
{
    struct oid head;

    if (f->history && mainline_head(f->mainline, &head) == 0)
        history_index_follow(f->history, &head);
}

static void open_history(struct fixture *f)
{
    _cleanup_(diag_done) struct diag why = {0};
    _cleanup_free_ char *dir = xasprintf("%s/index", f->dir);

    must(history_index_open(f->repo, dir, &f->history, &why), &why);
    follow(f);
}

static int setup(void **state, bool with_history, enum view_mtime mtime)
{
    struct fixture *f = NEW(struct fixture);
    _cleanup_(diag_done) struct diag why = {0};

    f->dir = test_dir_new();
    f->path = test_repo_new(f->dir, "work", "");
    free(test_commit(f->path, "a", "1\n", "one"));
    must(repo_open(f->path, &f->repo, &why), &why);
    must(mainline_new(f->repo, "main", &f->mainline, &why), &why);
    must(ledger_open(f->repo, "host", &f->ledger, &why), &why);
    if (with_history)
        open_history(f);
    f->board = fleet_board_new();
    fleet_board_publish(f->board, fleet_new());
    f->table = node_table_new();
    f->view = view_new(&(struct view_config){
        .repo = f->repo,
        .mainline = f->mainline,
        .board = f->board,
        .ledger = f->ledger,
        .history = f->history,
        .mtime = mtime,
        .table = f->table,
        .config_text = no_text,
        .status_text = no_text,
        .command = no_command,
    });
    f->root = view_root(f->view);
    *state = f;
    return 0;
}

int fixture_setup(void **state)
{
    return setup(state, true, VIEW_MTIME_REVISION);
}

int fixture_setup_without(void **state)
{
    return setup(state, false, VIEW_MTIME_REVISION);
}

int fixture_setup_by_change(void **state)
{
    return setup(state, true, VIEW_MTIME_CHANGE);
}

int fixture_teardown(void **state)
{
    struct fixture *f = *state;

    node_unref(f->root);
    node_table_free(f->table);
    view_free(f->view);
    fleet_board_free(f->board);
    history_index_free(f->history);
    ledger_free(f->ledger);
    mainline_free(f->mainline);
    repo_free(f->repo);
    free(f->path);
    test_dir_free(f->dir);
    free(f);
    return 0;
}

void change(struct fixture *f, const char *fmt, ...)
{
    _cleanup_(diag_done) struct diag why = {0};
    _cleanup_(buf_done) struct buf commands = {0};
    va_list ap;

    va_start(ap, fmt);
    buf_vaddf(&commands, fmt, ap);
    va_end(ap);
    test_run(f->path, "%s", buf_str(&commands));
    must(mainline_refresh(f->mainline, &why), &why);
    follow(f);
    view_refs_changed(f->view);
}

struct oid oid_from(struct fixture *f, const char *rev)
{
    _cleanup_free_ char *hex = test_output(f->path, "git rev-parse '%s'", rev);
    struct oid oid;

    assert_int_equal(oid_parse(hex, &oid), 0);
    return oid;
}

struct node *walk(struct fixture *f, const char *path)
{
    _cleanup_free_ char *copy = xstrdup(path);
    struct node *at = node_ref(f->root);
    char *rest = copy, *name;

    while (at && (name = strsep(&rest, "/"))) {
        struct node *next = NULL;
        if (at->ops->lookup)
            at->ops->lookup(at, name, &next);
        node_unref(at);
        at = next;
    }
    return at;
}

char *text(struct fixture *f, const char *path)
{
    _cleanup_(node_unrefp) struct node *node = walk(f, path);
    struct stat st = {0};

    if (!node)
        return xstrdup("(none)");
    assert_int_equal(node->ops->getattr(node, &st), 0);
    char *all = xcalloc(st.st_size + 1, 1);
    assert_int_equal(node->ops->read(node, all, st.st_size, 0), st.st_size);
    return all;
}

char *target(struct fixture *f, const char *path)
{
    _cleanup_(node_unrefp) struct node *node = walk(f, path);
    char *text;

    if (!node)
        return xstrdup("(none)");
    assert_non_null(node->ops->readlink);
    assert_int_equal(node->ops->readlink(node, &text), 0);
    return text;
}

struct reply {
    struct dir_sink sink;
    struct buf names;
    int room;
    uint64_t last;
};

static int add(struct dir_sink *sink, const char *name, mode_t type, uint64_t ino, uint64_t cookie,
               bool plus)
{
    struct reply *r = container_of(sink, struct reply, sink);

    assert_true(cookie > 0 && cookie <= INT64_MAX);
    if (!r->room--)
        return 1;
    buf_addf(&r->names, "%s%s ", name, S_ISDIR(type) ? "/" : S_ISLNK(type) ? "@" : "");
    r->last = cookie;
    return 0;
}

char *listing(struct node *dir, int most)
{
    struct reply r = {.sink = {.add = add}};
    size_t before;

    do {
        before = r.names.len;
        r.room = most;
        assert_int_equal(dir->ops->readdir(dir, r.last, &r.sink), 0);
    } while (r.names.len > before);
    return buf_take(&r.names);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

char *sorted_listing(struct fixture *f, const char *path)
{
    _cleanup_(node_unrefp) struct node *dir = walk(f, path);
    VEC(char *) names = {0};
    struct buf out = {0};

    assert_non_null(dir);
    _cleanup_free_ char *all = listing(dir, 2);
    char *rest = all, *word;
    while ((word = strsep(&rest, " ")))
        if (*word)
            *VEC_ADD(&names) = word;
    if (names.n)
        qsort(names.v, names.n, sizeof(*names.v), by_name);
    vec_foreach (name, &names)
        buf_addf(&out, "%s ", *name);
    free(names.v);
    return buf_take(&out);
}
