/* When files are given to the kernel before it asks (mount/prefetch.h): read in sequence, in
 * windows that grow, never otherwise. */
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>

#include "mount/prefetch.h"
#include "testlib.h"

#define DIRS  12
#define FILES 100

struct toy {
    struct node node;
    size_t size;
};

/* A kernel that has listed some directories, and notes what is pushed. */
static struct world {
    struct node_table *table;
    struct prefetch *prefetch;
    struct node *nodes[DIRS][FILES];
    uint64_t ids[DIRS][FILES];
    uint64_t pushed[DIRS * FILES];
    int n;
    int fails;     /* what push() returns */
    uint64_t gate; /* reading this one by the worker posts `arrived` and waits for `go` */
    sem_t arrived, go;
} w;

static int toy_getattr(struct node *node, struct stat *st)
{
    st->st_mode = S_IFREG | 0444;
    st->st_size = ((struct toy *)node)->size;
    return 0;
}

static ssize_t toy_read(struct node *node, void *buf, size_t size, off_t off)
{
    if (node->id == __atomic_load_n(&w.gate, __ATOMIC_ACQUIRE)) {
        sem_post(&w.arrived);
        sem_wait(&w.go);
    }
    memset(buf, 'x', size);
    return size;
}

static const struct node_ops file_ops = {
    .kind = "file",
    .flags = NODE_PREFETCH,
    .getattr = toy_getattr,
    .read = toy_read,
};

static const struct node_ops other_ops = {.kind = "other", .getattr = toy_getattr};

static int push(uint64_t id, const void *data, size_t len, void *arg)
{
    assert_int_equal(((const char *)data)[len - 1], 'x');
    w.pushed[w.n] = id;
    __atomic_add_fetch(&w.n, 1, __ATOMIC_RELEASE);
    return w.fails;
}

static void add(int dir, int i, const struct node_ops *ops, size_t size)
{
    struct toy *toy = node_new(w.table, ops, sizeof(*toy), 7);

    toy->size = size;
    w.nodes[dir][i] = &toy->node;
    w.ids[dir][i] = node_table_lookup(w.table, &toy->node);
    node_unref(&toy->node);
}

/* Lists a directory of `n` files. */
static void list(int dir, int n)
{
    node_table_gap(w.table);
    for (int i = 0; i < n; i++)
        add(dir, i, &file_ops, 1 + i);
}

static int setup(void **state)
{
    w = (struct world){.table = node_table_new()};
    sem_init(&w.arrived, 0, 0);
    sem_init(&w.go, 0, 0);
    return prefetch_new(w.table, push, NULL, &w.prefetch);
}

static int teardown(void **state)
{
    prefetch_free(w.prefetch);
    node_table_free(w.table);
    sem_destroy(&w.arrived);
    sem_destroy(&w.go);
    return 0;
}

static void saw_read(int dir, int i)
{
    prefetch_saw_read(w.prefetch, w.nodes[dir][i], w.ids[dir][i]);
}

/* The least that makes a window. */
static void read_three(void)
{
    for (int i = 0; i < 3; i++)
        saw_read(0, i);
}

static bool more_than(void *arg)
{
    return __atomic_load_n(&w.n, __ATOMIC_ACQUIRE) > *(int *)arg;
}

/* Waits until `n` files have been pushed in all, and sees that it stays at that. */
static void expect_pushed(int n)
{
    int less = n - 1;

    assert_true(test_wait(more_than, &less, 10000));
    assert_false(test_wait(more_than, &n, 20));
}

static void windows_grow_with_use(void **state)
{
    list(0, FILES);
    saw_read(0, 0);
    saw_read(0, 1);
    expect_pushed(0);
    saw_read(0, 2);
    /* 3 is left to the reader, 11 shows whether it was worth it. */
    expect_pushed(7);
    for (int i = 0; i < 7; i++)
        assert_int_equal(w.pushed[i], w.ids[0][4 + i]);
    saw_read(0, 3);
    expect_pushed(7);
    saw_read(0, 11);
    expect_pushed(7 + 15);
    assert_int_equal(w.pushed[7], w.ids[0][13]);
    saw_read(0, 28);
    expect_pushed(7 + 15 + 31);
    saw_read(0, 61); /* to the end, but for the one that would show that it is reached */
    expect_pushed(7 + 15 + 31 + 36);
    assert_int_equal(w.pushed[w.n - 1], w.ids[0][98]);
}

static void reads_here_and_there_push_nothing(void **state)
{
    list(0, FILES);
    for (int i = 0; i < 1000; i++)
        saw_read(0, i * 37 % FILES);
    for (int i = FILES - 1; i >= 0; i--)
        saw_read(0, i);
    for (int i = 0; i < 5; i++)
        saw_read(0, 50);
    saw_read(0, 20);
    saw_read(0, 21);
    for (int i = 90; i > 70; i -= 2)
        saw_read(0, i); /* the row has come too long ago then */
    saw_read(0, 22);
    expect_pushed(0);
}

/* Readers of several directories, file by file in turn. */
static void readers_do_not_disturb_each_other(void **state)
{
    for (int dir = 0; dir < 4; dir++)
        list(dir, 20);
    for (int i = 0; i < 3; i++)
        for (int dir = 0; dir < 4; dir++)
            saw_read(dir, i);
    expect_pushed(4 * 7);
}

static void what_is_no_small_file_is_passed_over(void **state)
{
    node_table_gap(w.table);
    for (int i = 0; i < 60; i += 4) {
        add(0, i, &other_ops, 10);
        add(0, i + 1, &file_ops, 0);
        add(0, i + 2, &file_ops, PREFETCH_SIZE + 1);
        add(0, i + 3, &file_ops, PREFETCH_SIZE);
    }
    saw_read(0, 3);
    saw_read(0, 6); /* too large to count */
    saw_read(0, 7);
    saw_read(0, 11);
    expect_pushed(7);
    assert_int_equal(w.pushed[0], w.ids[0][19]);
}

static void a_window_ends_with_the_directory(void **state)
{
    list(0, 6);
    list(1, 50);
    for (int i = 0; i < 3; i++)
        saw_read(0, i);
    expect_pushed(1);
    assert_int_equal(w.pushed[0], w.ids[0][4]);
}

static void directories_are_pushed_on_trust(void **state)
{
    for (int dir = 0; dir < DIRS; dir++)
        list(dir, 6);
    for (int dir = 0; dir < 2; dir++)
        for (int i = 0; i < 3; i++)
            saw_read(dir, i);
    expect_pushed(2 * 1);
    saw_read(2, 0);
    expect_pushed(2 + 3); /* 2, 3, 4 */
    saw_read(2, 5);
    /* Nothing shows that these are of use, so it ends. */
    for (int dir = 3; dir < 11; dir++)
        saw_read(dir, 0);
    expect_pushed(2 + 3 + 4 * 3);
    saw_read(3, 5); /* late, but there */
    saw_read(11, 0);
    expect_pushed(2 + 3 + 4 * 3 + 3);
}

static void a_read_in_the_middle_ends_trust(void **state)
{
    for (int dir = 0; dir < 5; dir++)
        list(dir, 6);
    for (int dir = 0; dir < 2; dir++)
        for (int i = 0; i < 3; i++)
            saw_read(dir, i);
    expect_pushed(2);
    saw_read(2, 3);
    saw_read(3, 0);
    expect_pushed(2);
}

static void pages_that_do_not_stay_end_it(void **state)
{
    list(0, FILES);
    read_three();
    expect_pushed(7);
    saw_read(0, 5);
    saw_read(0, 11); /* would have been the next window */
    expect_pushed(7);
    saw_read(0, 12);
    saw_read(0, 13);
    expect_pushed(14);
}

static void a_faster_reader_is_not_hindered(void **state)
{
    list(0, FILES);
    w.gate = w.ids[0][4];
    read_three();
    sem_wait(&w.arrived); /* the worker is at 4 */
    for (int i = 3; i <= 6; i++)
        saw_read(0, i);
    w.gate = 0;
    sem_post(&w.go);
    expect_pushed(4); /* not 4; and 6 was left to the reader */
    assert_int_equal(w.pushed[0], w.ids[0][7]);
}

static void nothing_is_pushed_to_who_has_forgotten(void **state)
{
    list(0, FILES);
    w.fails = -ENOENT;
    read_three();
    expect_pushed(1);
    for (int i = 13; i < FILES; i++)
        node_table_forget(w.table, w.ids[0][i], 1);
    w.fails = 0;
    saw_read(0, 11);
    expect_pushed(1);
}

static void *stop(void *arg)
{
    prefetch_stop(w.prefetch);
    __atomic_store_n((bool *)arg, true, __ATOMIC_RELEASE);
    return NULL;
}

static bool is_true(void *arg)
{
    return __atomic_load_n((bool *)arg, __ATOMIC_ACQUIRE);
}

static void stopping_waits_for_the_one_being_pushed(void **state)
{
    pthread_t stopper;
    bool stopped = false;

    list(0, FILES);
    w.gate = w.ids[0][4];
    read_three();
    sem_wait(&w.arrived);
    pthread_create(&stopper, NULL, stop, &stopped);
    assert_false(test_wait(is_true, &stopped, 20));
    sem_post(&w.go);
    pthread_join(stopper, NULL);
    int n = w.n;
    saw_read(0, 11);
    expect_pushed(n);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(windows_grow_with_use),
        TEST(reads_here_and_there_push_nothing),
        TEST(readers_do_not_disturb_each_other),
        TEST(what_is_no_small_file_is_passed_over),
        TEST(a_window_ends_with_the_directory),
        TEST(directories_are_pushed_on_trust),
        TEST(a_read_in_the_middle_ends_trust),
        TEST(pages_that_do_not_stay_end_it),
        TEST(a_faster_reader_is_not_hindered),
        TEST(nothing_is_pushed_to_who_has_forgotten),
        TEST(stopping_waits_for_the_one_being_pushed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
