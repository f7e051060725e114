/* What a process leaves to its successor (tree/legacy.h), and what a table makes of it. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "testlib.h"
#include "tree/legacy.h"
#include "tree/table.h"
#include "tree/text.h"

/* The log itself */

static uint64_t add(struct legacy *l, uint64_t id, uint64_t parent, const char *name)
{
    struct legacy_record r = {
        .id = id, .parent = parent, .lookups = 1, .type = S_IFDIR, .flags = LEGACY_KEPT_NAME};

    return legacy_add(l, &r, name, NULL);
}

/* As the process dies, and the next one opens what it left. */
static struct legacy *succeed(struct legacy *l)
{
    int fd = fcntl(legacy_fd(l), F_DUPFD_CLOEXEC, 0);
    struct legacy *next;

    legacy_free(l);
    assert_int_equal(legacy_open(fd, &next, NULL), 0);
    return next;
}

static void records_outlive_the_process(void **state)
{
    struct legacy_record text = {
        .id = 7, .parent = 1, .lookups = 2, .flags = LEGACY_TEXT, .text_len = 5};
    struct legacy *l;

    assert_int_equal(legacy_new(&l), 0);
    add(l, 5, 1, "dir");
    legacy_add(l, &text, "status", "hello");
    uint64_t old = add(l, 9, 5, "before");
    add(l, 9, 5, "after"); /* L3 */
    legacy_set_lookups(l, old, 3);
    legacy_set_last_id(l, 9);
    l = succeed(l);
    assert_int_equal(legacy_last_id(l), 9);
    const struct legacy_record *r = legacy_at(l, legacy_find(l, 7));
    assert_int_equal(r->lookups, 2);
    assert_memory_equal(legacy_text(r), "hello", 5);
    assert_string_equal(legacy_name(legacy_at(l, legacy_find(l, 9))), "after");
    assert_int_equal(legacy_find_name(l, 5, "after"), legacy_find(l, 9));
    assert_int_equal(legacy_find_name(l, 5, "before"), 0);
    assert_int_equal(legacy_find_name(l, 1, "status"), 0); /* its name is not kept */
    assert_int_equal(legacy_find(l, 8), 0);
    legacy_free(l);
}

static void the_last_one_has_the_place(void **state)
{
    struct legacy *l;

    assert_int_equal(legacy_new(&l), 0);
    add(l, 5, 1, "x");
    add(l, 9, 1, "y");
    add(l, 9, 1, "x"); /* renamed over 5; L4 */
    l = succeed(l);
    assert_int_equal(legacy_at(l, legacy_find_name(l, 1, "x"))->id, 9);
    legacy_set_gone(l, legacy_find(l, 9));
    l = succeed(l);
    assert_int_equal(legacy_at(l, legacy_find_name(l, 1, "x"))->id, 5);
    legacy_free(l);
}

static void what_nobody_knows_is_left_behind(void **state)
{
    char name[64];
    struct legacy *l;
    struct stat st;

    assert_int_equal(legacy_new(&l), 0);
    add(l, 2, 1, "dir");
    uint64_t dir = add(l, 3, 2, "forgotten, but above one that is not");
    add(l, 4, 3, "known");
    legacy_set_lookups(l, dir, 0);
    for (uint64_t id = 10; id < 40000; id++) {
        snprintf(name, sizeof(name), "a file of no interest %d", (int)id);
        legacy_set_lookups(l, add(l, id, 2, name), 0);
        if (legacy_is_wasteful(l))
            assert_int_equal(legacy_compact(l), 0);
    }
    assert_int_equal(fstat(legacy_fd(l), &st), 0);
    assert_true(st.st_blocks * 512 < 3 << 20);
    l = succeed(l);
    assert_int_equal(legacy_at(l, legacy_find(l, 4))->parent, 3); /* L5 */
    assert_int_equal(legacy_at(l, legacy_find(l, 3))->parent, 2);
    assert_int_equal(legacy_at(l, legacy_find(l, 2))->lookups, 1);
    assert_int_equal(legacy_find(l, 10), 0);
    legacy_free(l);
}

static void what_makes_no_sense_is_refused(void **state)
{
    struct legacy *l;

    for (size_t at = 0; at < 160; at += 4) {
        assert_int_equal(legacy_new(&l), 0);
        add(l, 5, 1, "dir");
        add(l, 6, 5, "file");
        int fd = fcntl(legacy_fd(l), F_DUPFD_CLOEXEC, 0);
        assert_int_equal(pwrite(fd, "\xff\xff\xff\xff", 4, at < 32 ? at : 4096 + at - 32), 4);
        legacy_free(l);
        if (legacy_open(fd, &l, NULL) == 0) /* what was hit says nothing of the layout */
            legacy_free(l);
        else
            assert_int_equal(fcntl(fd, F_GETFD), -1);
    }
}

/* Tables, one after the other, over the same names. A directory of these shows every name but
 * "absent"; "dir…" are directories, "fixed…" keep their names. */

static const struct node_ops dir_ops, file_ops, control_ops;

static void child_init(struct node *node, const void *arg)
{
    node->parent = *(struct node *const *)arg;
}

static int dir_getattr(struct node *node, struct stat *st)
{
    st->st_mode = S_IFDIR | 0555;
    return 0;
}

static int file_getattr(struct node *node, struct stat *st)
{
    st->st_mode = S_IFREG | 0444;
    return 0;
}

static struct node *child(struct node *dir, const char *name)
{
    char key[64];
    int len = snprintf(key, sizeof(key), "%p %s", (void *)dir, name);

    const struct node_ops *ops = *name == 'd'           ? &dir_ops
                                 : !strcmp(name, "ctl") ? &control_ops
                                                        : &file_ops;
    return node_intern(dir->table, ops, sizeof(struct node), key, len, node_ino(dir->ino, name),
                       child_init, &dir);
}

static int dir_lookup(struct node *dir, const char *name, struct node **ret)
{
    if (!strcmp(name, "absent"))
        return -ENOENT;
    *ret = child(dir, name);
    return 0;
}

static const struct node_ops dir_ops = {
    .kind = "dir", .getattr = dir_getattr, .lookup = dir_lookup};
static const struct node_ops file_ops = {
    .kind = "file", .flags = NODE_ENTRY_FOREVER | NODE_ATTR_FOREVER, .getattr = file_getattr};
static const struct node_ops control_ops = {
    .kind = "control", .flags = NODE_SLOW, .getattr = file_getattr};

struct reign {
    struct node_table *table;
    struct legacy *legacy;
    struct node *root;
};

static void begin(struct reign *r, struct legacy *legacy)
{
    *r = (struct reign){.table = node_table_new(), .legacy = legacy};
    r->root = node_new(r->table, &dir_ops, sizeof(struct node), 1);
    node_table_set_root(r->table, r->root);
    node_table_inherit(r->table, legacy);
}

/* Dies; what is left to the next. */
static struct legacy *end(struct reign *r)
{
    int fd = fcntl(legacy_fd(r->legacy), F_DUPFD_CLOEXEC, 0);
    struct legacy *next;

    node_table_inherit(r->table, NULL);
    node_unref(r->root);
    node_table_free(r->table);
    legacy_free(r->legacy);
    assert_int_equal(legacy_open(fd, &next, NULL), 0);
    return next;
}

static void finish(struct reign *r)
{
    legacy_free(end(r));
}

static uint64_t tell(struct reign *r, struct node *node, uint64_t dir, const char *name, bool made)
{
    struct stat st = {0};

    assert_int_equal(node->ops->getattr(node, &st), 0);
    return node_table_lookup_at(r->table, node, &(struct node_place){dir, name, made, &st});
}

/* Looks it up, as for the kernel. */
static uint64_t look_up(struct reign *r, uint64_t dir, const char *name)
{
    _cleanup_(node_unrefp) struct node *at = node_table_reach(r->table, dir), *node = NULL;

    assert_non_null(at);
    assert_int_equal(at->ops->lookup(at, name, &node), 0);
    return tell(r, node, dir, name, false);
}

static void ids_are_found_again(void **state)
{
    struct reign r;
    struct legacy *l;

    assert_int_equal(legacy_new(&l), 0);
    begin(&r, l);
    uint64_t dir = look_up(&r, 1, "dir"), deep = look_up(&r, dir, "deep");
    uint64_t file = look_up(&r, deep, "file");
    look_up(&r, deep, "file");
    begin(&r, end(&r));
    struct node *node = node_table_reach(r.table, file);
    assert_non_null(node);
    assert_int_equal(node->id, file);
    assert_int_equal(node->lookups, 2);
    assert_int_equal(node->parent->id, deep);
    node_unref(node);
    /* The other way: by its name first. */
    begin(&r, end(&r));
    assert_int_equal(look_up(&r, deep, "file"), file);
    node_table_forget(r.table, file, 2);
    begin(&r, end(&r));
    node_table_forget(r.table, file, 1); /* never seen in this reign */
    assert_null(node_table_reach(r.table, file));
    uint64_t again = look_up(&r, deep, "file");
    assert_true(again > file);
    finish(&r);
}

static void renamed_and_removed_ones_are_followed(void **state)
{
    struct reign r;
    struct legacy *l;

    assert_int_equal(legacy_new(&l), 0);
    begin(&r, l);
    uint64_t dir = look_up(&r, 1, "dir"), a = look_up(&r, dir, "a"), b = look_up(&r, dir, "b");
    uint64_t absent = tell(&r, r.root, 1, "absent", false);
    assert_int_equal(absent, 1);
    struct node *node = node_table_get(r.table, a);
    node_table_moved(node, "c");
    node_unref(node);
    node = node_table_get(r.table, b);
    node_rekey(node, NULL, 0);
    node_unref(node);
    begin(&r, end(&r));
    assert_null(node_table_reach(r.table, b));
    assert_null(node_table_reach_name(r.table, dir, "a"));
    node = node_table_reach_name(r.table, dir, "c");
    assert_non_null(node);
    assert_int_equal(node->id, a);
    node_unref(node);
    /* Another one is made in its place: it is nothing any more. */
    begin(&r, end(&r));
    struct node *at = node_table_reach(r.table, dir);
    node = child(at, "c");
    uint64_t made = tell(&r, node, dir, "c", true);
    assert_true(made > a);
    node_unref(node);
    node_unref(at);
    assert_null(node_table_reach(r.table, a));
    /* Renamed by one who had no time to say so. */
    begin(&r, end(&r));
    node_table_moved_before(r.table, dir, "c", 1, "moved");
    node = node_table_reach(r.table, made);
    assert_non_null(node);
    assert_int_equal(node->parent->id, 1);
    node_unref(node);
    finish(&r);
}

static void two_ids_may_be_one_node(void **state)
{
    struct reign r;
    struct legacy *l;

    assert_int_equal(legacy_new(&l), 0);
    begin(&r, l);
    uint64_t a = look_up(&r, 1, "a");
    begin(&r, end(&r));
    struct node *node = child(r.root, "a");
    uint64_t other = tell(&r, node, 1, "another name of it", false);
    assert_true(other > a);
    struct node *found = node_table_reach(r.table, a);
    assert_ptr_equal(found, node);
    node_unref(found);
    node_unref(node);
    node_table_forget(r.table, other, 1);
    found = node_table_get(r.table, a);
    assert_ptr_equal(found, node);
    node_unref(found);
    node_table_forget(r.table, a, 1);
    assert_null(node_table_get(r.table, a));
    finish(&r);
}

static void a_generated_file_keeps_what_it_says(void **state)
{
    struct reign r;
    struct legacy *l;
    struct buf text = {0};
    char got[16];

    assert_int_equal(legacy_new(&l), 0);
    begin(&r, l);
    buf_adds(&text, "version 1");
    struct node *node = text_node_new(r.table, 77, &text, 5);
    uint64_t id = tell(&r, node, 1, "absent", false);
    node_unref(node);
    begin(&r, end(&r));
    node = node_table_reach(r.table, id);
    assert_non_null(node);
    assert_int_equal(node->ino, 77);
    assert_int_equal(node->ops->read(node, got, sizeof(got), 0), 9);
    assert_memory_equal(got, "version 1", 9);
    node_unref(node);
    finish(&r);
}

static void count(uint64_t id, uint64_t dir, const char *name, void *arg)
{
    ++*(int *)arg;
}

static void the_kernel_is_owed_news_of_what_it_keeps(void **state)
{
    struct reign r;
    struct legacy *l;
    int n = 0;

    assert_int_equal(legacy_new(&l), 0);
    begin(&r, l);
    uint64_t dir = look_up(&r, 1, "dir");
    look_up(&r, dir, "file");
    uint64_t forgotten = look_up(&r, dir, "forgotten");
    look_up(&r, dir, "ctl");
    node_table_forget(r.table, forgotten, 1);
    begin(&r, end(&r));
    node_table_owed(r.table, count, &n);
    assert_int_equal(n, 2);
    /* And they count, before anybody has asked for them and after. */
    uint64_t *ids;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(node_table_load(r.table).nodes, 4);
        assert_int_equal(node_table_known(r.table, false, &ids), 4);
        assert_int_equal(ids[1], dir);
        free(ids);
        node_unref(node_table_reach(r.table, dir));
    }
    node_table_forget(r.table, dir, 1);
    assert_int_equal(node_table_load(r.table).nodes, 3);
    finish(&r);
}

struct told {
    int n;
    uint64_t ino, dir_ino;
    char at[64];
};

static void note_told(const struct node_told *x, void *arg)
{
    struct told *told = arg;

    told->n++;
    told->ino = x->ino;
    told->dir_ino = x->dir_ino;
    snprintf(told->at, sizeof(told->at), "%s, %s, %o", x->top, x->name, x->type);
}

static void numbers_that_were_told_are_found(void **state)
{
    struct told told = {0};
    struct reign r;
    struct legacy *l;
    uint64_t inos[2];

    assert_int_equal(legacy_new(&l), 0);
    begin(&r, l);
    uint64_t root = look_up(&r, 1, "dir root"), top = look_up(&r, root, "dir top"),
             deep = look_up(&r, top, "dir deep");
    look_up(&r, look_up(&r, 1, "dir beside"), "file");
    uint64_t file = look_up(&r, deep, "file"), removed = look_up(&r, deep, "removed");
    look_up(&r, deep, "unknown");
    node_table_forget(r.table, look_up(&r, deep, "unknown"), 2);
    const uint64_t ids[] = {root, deep};
    for (int i = 0; i < 2; i++) {
        struct node *node = node_table_get(r.table, ids[i]);
        inos[i] = node->ino;
        node_unref(node);
    }
    struct node *node = node_table_get(r.table, removed);
    node_rekey(node, NULL, 0);
    node_unref(node);
    node = node_table_get(r.table, file);
    uint64_t ino = node->ino;
    node_unref(node);
    begin(&r, end(&r));
    node_table_told(r.table, inos[0], note_told, &told);
    assert_int_equal(told.n, 2); /* the file, and its directory */
    assert_string_equal(told.at, "dir top, file, 100000");
    assert_int_equal(told.dir_ino, inos[1]);
    assert_int_equal(told.ino, ino);
    told.n = 0;
    node_table_told(r.table, 12345, note_told, &told);
    assert_int_equal(told.n, 0);
    finish(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(records_outlive_the_process),
        cmocka_unit_test(the_last_one_has_the_place),
        cmocka_unit_test(what_nobody_knows_is_left_behind),
        cmocka_unit_test(what_makes_no_sense_is_refused),
        cmocka_unit_test(ids_are_found_again),
        cmocka_unit_test(renamed_and_removed_ones_are_followed),
        cmocka_unit_test(two_ids_may_be_one_node),
        cmocka_unit_test(a_generated_file_keeps_what_it_says),
        cmocka_unit_test(the_kernel_is_owed_news_of_what_it_keeps),
        cmocka_unit_test(numbers_that_were_told_are_found),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
