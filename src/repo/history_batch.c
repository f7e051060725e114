#include "repo/history_batch.h"

#include <assert.h>
#include <errno.h>

#include "base/alloc.h"
#include "repo/history_lmdb.h"

struct pending {
    path_id path;
    struct history_change change;
};

struct history_batch {
    struct history_store *store;
    MDB_txn *txn;
    struct history_line line;
    VEC(struct pending) changes;
    size_t complete; /* of them, those of revisions that have ended */
    path_id first;   /* ids from here on were given since then */
};

/* A cursor that is closed at the end of its scope. */
typedef MDB_cursor cursor;
DEFINE_CLEANUP(cursor *, mdb_cursor_close)

static int get(struct history_batch *b, enum history_db db, const struct history_record *key,
               MDB_val *ret)
{
    MDB_val k = lmdb_key(key);

    return lmdb_errno(mdb_get(b->txn, b->store->dbi[db], &k, ret));
}

static int put(struct history_batch *b, enum history_db db, const struct history_record *r)
{
    MDB_val key = lmdb_key(r), value = lmdb_value(r);

    return lmdb_errno(mdb_put(b->txn, b->store->dbi[db], &key, &value, 0));
}

static int del(struct history_batch *b, enum history_db db, const struct history_record *key)
{
    MDB_val k = lmdb_key(key);

    return lmdb_errno(mdb_del(b->txn, b->store->dbi[db], &k, NULL));
}

static int open_cursor(struct history_batch *b, enum history_db db, MDB_cursor **ret)
{
    return lmdb_errno(mdb_cursor_open(b->txn, b->store->dbi[db], ret));
}

/* The first record at or behind `from`. */
static int seek(MDB_cursor *c, const struct history_record *from, MDB_val *key, MDB_val *value)
{
    *key = lmdb_key(from);
    return lmdb_errno(mdb_cursor_get(c, key, value, MDB_SET_RANGE));
}

static int read_line(struct history_batch *b)
{
    struct history_record key;
    MDB_val value;

    b->line = (struct history_line){.next = PATH_ROOT + 1};
    record_line(&key, NULL);
    int r = get(b, HISTORY_LINE, &key, &value);
    if (r == 0)
        r = record_read_line(record_key(&key), lmdb_bytes(&value), &b->line);
    b->first = b->line.next;
    return r == -ENOENT ? 0 : r;
}

int history_batch_begin(struct history_store *store, struct history_batch **ret)
{
    _cleanup_(history_batch_abortp) struct history_batch *b = NEW(struct history_batch);

    b->store = store;
    int r = lmdb_errno(mdb_txn_begin(store->env, NULL, 0, &b->txn));
    if (r == 0)
        r = read_line(b);
    if (r == 0)
        *ret = TAKE(b);
    return r;
}

void history_batch_abort(struct history_batch *b)
{
    if (!b)
        return;
    if (b->txn)
        mdb_txn_abort(b->txn);
    free(b->changes.v);
    free(b);
}

const struct history_line *history_batch_line(const struct history_batch *b)
{
    return &b->line;
}

size_t history_batch_size(const struct history_batch *b)
{
    return b->changes.n;
}

/* ---- adding ---- */

int history_batch_path(struct history_batch *b, path_id dir, const char *name, path_id *ret)
{
    struct history_record r;
    MDB_val value;

    record_name(&r, dir, name, b->line.next);
    int e = get(b, HISTORY_NAMES, &r, &value);
    if (e == 0)
        return record_read_name(record_key(&r), lmdb_bytes(&value), ret, NULL);
    if (e != -ENOENT)
        return e;
    if (b->line.next == UINT32_MAX)
        return -EOVERFLOW;
    e = put(b, HISTORY_NAMES, &r);
    record_path(&r, b->line.next, dir, name);
    if (e == 0)
        e = put(b, HISTORY_PATHS, &r);
    if (e == 0)
        *ret = b->line.next++;
    return e;
}

void history_batch_change(struct history_batch *b, path_id path,
                          const struct history_change *change)
{
    struct pending *p = VEC_ADD(&b->changes);

    p->path = path;
    p->change = *change;
    p->change.pos = b->line.count;
}

/* Keeps in HISTORY_TIMES what no later revision outdoes: the newest that is not younger than any
 * time is then the last one at or before it. */
static int add_time(struct history_batch *b, int64_t time, uint32_t pos)
{
    _cleanup_(mdb_cursor_closep) MDB_cursor *c = NULL;
    struct history_record r;
    MDB_val key, value;
    int e = open_cursor(b, HISTORY_TIMES, &c);

    record_time(&r, time, pos);
    while (e == 0 && (e = seek(c, &r, &key, &value)) == 0)
        e = lmdb_errno(mdb_cursor_del(c, 0));
    return e == -ENOENT ? put(b, HISTORY_TIMES, &r) : e;
}

int history_batch_revision(struct history_batch *b, const struct oid *oid, int64_t time)
{
    struct history_record r;

    if (b->line.count == UINT32_MAX)
        return -EOVERFLOW;
    record_revision(&r, b->line.count, oid, time);
    int e = put(b, HISTORY_REVISIONS, &r);
    record_position(&r, oid, b->line.count);
    if (e == 0)
        e = put(b, HISTORY_POSITIONS, &r);
    if (e == 0)
        e = add_time(b, time, b->line.count);
    if (e < 0)
        return e;
    b->line.count++;
    b->line.head = *oid;
    b->complete = b->changes.n;
    b->first = b->line.next;
    return 0;
}

/* Takes back the id of a path. */
static int forget_path(struct history_batch *b, path_id id)
{
    struct history_path path;
    struct history_record r;
    MDB_val value;

    record_path(&r, id, 0, NULL);
    int e = get(b, HISTORY_PATHS, &r, &value);
    if (e == 0)
        e = record_read_path(record_key(&r), lmdb_bytes(&value), &path);
    if (e == 0)
        e = del(b, HISTORY_PATHS, &r);
    if (e < 0)
        return e;
    record_name(&r, path.parent, path.name, 0);
    return del(b, HISTORY_NAMES, &r);
}

int history_batch_undo(struct history_batch *b)
{
    int r = 0;

    b->changes.n = b->complete;
    while (r == 0 && b->line.next > b->first)
        r = forget_path(b, --b->line.next);
    return r;
}

/* ---- writing what was collected ---- */

static int compare_pending(const void *a, const void *b)
{
    const struct pending *x = a, *y = b;

    if (x->path != y->path)
        return x->path < y->path ? -1 : 1;
    return x->change.pos < y->change.pos ? -1 : x->change.pos > y->change.pos;
}

/* How many changes of a path have been written. */
static int count_changes(MDB_cursor *c, path_id path, uint32_t *ret)
{
    struct history_change last;
    struct history_record r;
    MDB_val key, value;
    path_id id;

    *ret = 0;
    record_change_key(&r, path, UINT32_MAX);
    int e = seek(c, &r, &key, &value);
    if (e == 0 || e == -ENOENT)
        e = lmdb_errno(mdb_cursor_get(c, &key, &value, e == 0 ? MDB_PREV : MDB_LAST));
    if (e == 0)
        e = record_read_change(lmdb_bytes(&key), lmdb_bytes(&value), &id, &last);
    if (e == 0 && id == path)
        *ret = last.number;
    return e == -ENOENT ? 0 : e;
}

static int write_change(MDB_cursor *c, const struct pending *p)
{
    struct history_record r;

    record_change(&r, p->path, &p->change);
    MDB_val key = lmdb_key(&r), value = lmdb_value(&r);
    return lmdb_errno(mdb_cursor_put(c, &key, &value, 0));
}

static int write_changes(struct history_batch *b)
{
    _cleanup_(mdb_cursor_closep) MDB_cursor *c = NULL;
    int r = open_cursor(b, HISTORY_CHANGES, &c);
    path_id path = 0;
    uint32_t number = 0;

    if (b->changes.n)
        qsort(b->changes.v, b->changes.n, sizeof(*b->changes.v), compare_pending);
    for (size_t i = 0; r == 0 && i < b->changes.n; i++) {
        struct pending *p = &b->changes.v[i];
        if (i == 0 || p->path != path)
            r = count_changes(c, path = p->path, &number);
        p->change.number = ++number;
        if (r == 0)
            r = write_change(c, p);
    }
    return r;
}

int history_batch_commit(struct history_batch *b)
{
    struct history_record line;

    assert(b->changes.n == b->complete && b->line.next == b->first);
    int r = write_changes(b);
    record_line(&line, &b->line);
    if (r == 0)
        r = put(b, HISTORY_LINE, &line);
    if (r == 0)
        r = lmdb_errno(mdb_txn_commit(TAKE(b->txn)));
    history_batch_abort(b);
    return r;
}

/* ---- cutting ---- */

/* Deletes the changes of `path` from `pos` on. */
static int cut_changes(MDB_cursor *c, path_id path, uint32_t pos)
{
    struct history_change change;
    struct history_record r;
    MDB_val key, value;
    path_id id;
    int e = 0;

    record_change_key(&r, path, pos);
    while (e == 0 && (e = seek(c, &r, &key, &value)) == 0) {
        e = record_read_change(lmdb_bytes(&key), lmdb_bytes(&value), &id, &change);
        if (e < 0 || id != path)
            break;
        e = lmdb_errno(mdb_cursor_del(c, 0));
    }
    return e == -ENOENT ? 0 : e;
}

/* Goes over the paths by their first changes. Those that began at `count` or later are gone. */
static int cut_paths(struct history_batch *b, uint32_t count)
{
    _cleanup_(mdb_cursor_closep) MDB_cursor *c = NULL;
    struct history_change first;
    struct history_record from;
    MDB_val key, value;
    path_id id = PATH_ROOT;
    int r = open_cursor(b, HISTORY_CHANGES, &c);

    for (; r == 0; id++) {
        record_change_key(&from, id, 0);
        r = seek(c, &from, &key, &value);
        if (r == 0)
            r = record_read_change(lmdb_bytes(&key), lmdb_bytes(&value), &id, &first);
        if (r == 0 && first.pos >= count)
            r = forget_path(b, id);
        if (r == 0)
            r = cut_changes(c, id, count);
    }
    return r == -ENOENT ? 0 : r;
}

static int read_revision(struct history_batch *b, uint32_t pos, struct history_revision *ret)
{
    struct history_record key;
    MDB_val value;

    record_revision(&key, pos, NULL, 0);
    int r = get(b, HISTORY_REVISIONS, &key, &value);
    if (r == -ENOENT)
        return -EUCLEAN;
    return r < 0 ? r : record_read_revision(record_key(&key), lmdb_bytes(&value), ret);
}

static int cut_revision(struct history_batch *b, uint32_t pos)
{
    struct history_revision rev;
    struct history_record key;
    int r = read_revision(b, pos, &rev);

    record_revision(&key, pos, NULL, 0);
    if (r == 0)
        r = del(b, HISTORY_REVISIONS, &key);
    record_position(&key, &rev.oid, 0);
    return r == 0 ? del(b, HISTORY_POSITIONS, &key) : r;
}

/* Makes HISTORY_TIMES anew: what the revisions that are gone had outdone is back. */
static int remake_times(struct history_batch *b)
{
    struct history_revision rev;
    int r = lmdb_errno(mdb_drop(b->txn, b->store->dbi[HISTORY_TIMES], 0));

    for (uint32_t pos = 0; r == 0 && pos < b->line.count; pos++) {
        r = read_revision(b, pos, &rev);
        if (r == 0)
            r = add_time(b, rev.time, pos);
    }
    return r;
}

/* Ids are not given again: they may be remembered somewhere. */
static int cut_all(struct history_batch *b)
{
    int r = 0;

    for (int db = 0; r == 0 && db < HISTORY_DBS; db++)
        r = lmdb_errno(mdb_drop(b->txn, b->store->dbi[db], 0));
    b->line = (struct history_line){.next = b->line.next, .epoch = b->line.epoch};
    return r;
}

int history_batch_cut(struct history_batch *b, uint32_t count)
{
    struct history_revision last;
    int r = 0;

    assert(b->changes.n == 0 && count <= b->line.count);
    b->line.epoch++;
    if (count == 0)
        return cut_all(b);
    for (uint32_t pos = count; r == 0 && pos < b->line.count; pos++)
        r = cut_revision(b, pos);
    b->line.count = count;
    if (r == 0)
        r = read_revision(b, count - 1, &last);
    if (r == 0)
        b->line.head = last.oid;
    if (r == 0)
        r = remake_times(b);
    return r == 0 ? cut_paths(b, count) : r;
}
