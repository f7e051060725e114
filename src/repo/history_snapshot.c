#include "repo/history_snapshot.h"

#include <ctype.h>
#include <errno.h>

#include "base/alloc.h"
#include "repo/history_lmdb.h"

int history_snapshot_begin(struct history_store *store, struct history_snapshot **ret)
{
    int code;

    pthread_mutex_lock(&store->lock);
    struct history_snapshot *s = store->idle;
    if (s)
        store->idle = s->next;
    pthread_mutex_unlock(&store->lock);
    if (s) {
        code = mdb_txn_renew(s->txn);
    } else {
        s = NEW(struct history_snapshot);
        s->store = store;
        code = mdb_txn_begin(store->env, NULL, MDB_RDONLY, &s->txn);
    }
    if (code) {
        mdb_txn_abort(s->txn);
        free(s);
        return lmdb_errno(code);
    }
    *ret = s;
    return 0;
}

void history_snapshot_end(struct history_snapshot *s)
{
    mdb_txn_reset(s->txn);
    pthread_mutex_lock(&s->store->lock);
    s->next = s->store->idle;
    s->store->idle = s;
    pthread_mutex_unlock(&s->store->lock);
}

/* A place in one database. */
struct place {
    MDB_cursor *cursor;
    MDB_val key, value;
};

static void place_done(struct place *p)
{
    if (p->cursor)
        mdb_cursor_close(p->cursor);
}

static int place_open(struct place *p, struct history_snapshot *s, enum history_db db)
{
    return lmdb_errno(mdb_cursor_open(s->txn, s->store->dbi[db], &p->cursor));
}

static int place_go(struct place *p, MDB_cursor_op op)
{
    return lmdb_errno(mdb_cursor_get(p->cursor, &p->key, &p->value, op));
}

/* The first record that is not before `key`. */
static int place_seek(struct place *p, const struct history_record *key)
{
    p->key = lmdb_key(key);
    return place_go(p, MDB_SET_RANGE);
}

/* The last record that is not behind `key`. */
static int place_seek_back(struct place *p, const struct history_record *key)
{
    int r = place_seek(p, key);

    if (r == 0 && p->key.mv_size == key->nkey && !memcmp(p->key.mv_data, key->key, key->nkey))
        return 0;
    return r == 0 || r == -ENOENT ? place_go(p, r == 0 ? MDB_PREV : MDB_LAST) : r;
}

/* The record of exactly this key. */
static int get(struct history_snapshot *s, enum history_db db, const struct history_record *key,
               MDB_val *ret)
{
    MDB_val k = lmdb_key(key);

    return lmdb_errno(mdb_get(s->txn, s->store->dbi[db], &k, ret));
}

int history_snapshot_line(struct history_snapshot *s, struct history_line *ret)
{
    struct history_record key;
    MDB_val value;

    record_line(&key, NULL);
    int r = get(s, HISTORY_LINE, &key, &value);
    if (r == -ENOENT) {
        *ret = (struct history_line){0};
        return 0;
    }
    return r < 0 ? r : record_read_line(record_key(&key), lmdb_bytes(&value), ret);
}

/* ---- revisions ---- */

int history_snapshot_at(struct history_snapshot *s, uint32_t pos, struct history_revision *ret)
{
    struct history_record key;
    MDB_val value;

    record_revision(&key, pos, NULL, 0);
    int r = get(s, HISTORY_REVISIONS, &key, &value);
    return r < 0 ? r : record_read_revision(record_key(&key), lmdb_bytes(&value), ret);
}

int history_snapshot_find(struct history_snapshot *s, const struct oid *rev, uint32_t *ret)
{
    struct history_record key;
    MDB_val value;

    record_position(&key, rev, 0);
    int r = get(s, HISTORY_POSITIONS, &key, &value);
    return r < 0 ? r : record_read_position(record_key(&key), lmdb_bytes(&value), ret);
}

/* The digits as the smallest id that begins with them; -ENOENT if they are none. */
static int abbrev_least(const char *hex, struct oid *ret)
{
    size_t len = strlen(hex);

    if (len < 4 || len > OID_HEX)
        return -ENOENT;
    *ret = (struct oid){0};
    for (size_t i = 0; i < len; i++) {
        int c = tolower((unsigned char)hex[i]);
        if (!isxdigit(c))
            return -ENOENT;
        ret->id[i / 2] |= (c <= '9' ? c - '0' : c - 'a' + 10) << (i % 2 ? 0 : 4);
    }
    return 0;
}

static bool begins_with(const MDB_val *key, const struct oid *least, size_t digits)
{
    const unsigned char *id = key->mv_data;

    return key->mv_size == OID_RAW && !memcmp(id, least->id, digits / 2) &&
           (digits % 2 == 0 || (id[digits / 2] ^ least->id[digits / 2]) < 0x10);
}

int history_snapshot_find_abbrev(struct history_snapshot *s, const char *hex, uint32_t *ret)
{
    _cleanup_(place_done) struct place p = {0};
    struct history_record key;
    size_t digits = strlen(hex);
    struct oid least;
    uint32_t pos;
    int r = abbrev_least(hex, &least);

    if (r == 0)
        r = place_open(&p, s, HISTORY_POSITIONS);
    if (r < 0)
        return r;
    record_position(&key, &least, 0);
    r = place_seek(&p, &key);
    if (r == 0 && !begins_with(&p.key, &least, digits))
        r = -ENOENT;
    if (r == 0)
        r = record_read_position(lmdb_bytes(&p.key), lmdb_bytes(&p.value), &pos);
    if (r < 0)
        return r;
    r = place_go(&p, MDB_NEXT);
    if (r == 0 && begins_with(&p.key, &least, digits))
        return -ENOENT;
    if (r < 0 && r != -ENOENT)
        return r;
    *ret = pos;
    return 0;
}

int history_snapshot_at_time(struct history_snapshot *s, int64_t time, uint32_t *ret)
{
    _cleanup_(place_done) struct place p = {0};
    struct history_record key;
    int r = place_open(&p, s, HISTORY_TIMES);

    record_time(&key, time, 0);
    if (r == 0)
        r = place_seek_back(&p, &key);
    return r < 0 ? r : record_read_time(lmdb_bytes(&p.key), lmdb_bytes(&p.value), ret);
}

int history_snapshot_revisions(struct history_snapshot *s, uint32_t pos,
                               int (*each)(const struct history_revision *rev, void *arg),
                               void *arg)
{
    _cleanup_(place_done) struct place p = {0};
    struct history_revision rev;
    struct history_record key;
    int r = place_open(&p, s, HISTORY_REVISIONS);

    record_revision(&key, pos, NULL, 0);
    if (r == 0)
        r = place_seek(&p, &key);
    while (r == 0) {
        r = record_read_revision(lmdb_bytes(&p.key), lmdb_bytes(&p.value), &rev);
        if (r == 0 && (r = each(&rev, arg)))
            return r;
        if (r == 0)
            r = place_go(&p, MDB_NEXT);
    }
    return r == -ENOENT ? 0 : r;
}

/* ---- paths ---- */

int history_snapshot_child(struct history_snapshot *s, path_id dir, const char *name, path_id *ret)
{
    struct history_record key;
    MDB_val value;

    if (!*name || strlen(name) > NAME_MOST)
        return -ENOENT;
    record_name(&key, dir, name, 0);
    int r = get(s, HISTORY_NAMES, &key, &value);
    return r < 0 ? r : record_read_name(record_key(&key), lmdb_bytes(&value), ret, NULL);
}

/* The key in HISTORY_NAMES behind which a listing goes on. */
static int listing_start(struct history_snapshot *s, path_id dir, path_id after,
                         struct history_record *ret)
{
    struct history_path path = {.parent = dir};
    MDB_val value;
    int r = 0;

    if (after != PATH_ROOT) {
        record_path(ret, after, 0, NULL);
        r = get(s, HISTORY_PATHS, ret, &value);
        if (r == 0)
            r = record_read_path(record_key(ret), lmdb_bytes(&value), &path);
        if (r == 0 && path.parent != dir)
            r = -ENOENT;
    }
    record_name(ret, dir, path.name, 0);
    return r;
}

int history_snapshot_children(struct history_snapshot *s, path_id dir, path_id after,
                              int (*each)(path_id id, const char *name, void *arg), void *arg)
{
    _cleanup_(place_done) struct place p = {0};
    struct history_record key;
    struct history_path path;
    path_id id;
    int r = listing_start(s, dir, after, &key);

    if (r == 0)
        r = place_open(&p, s, HISTORY_NAMES);
    if (r < 0)
        return r;
    r = place_seek(&p, &key);
    while (r == 0) {
        r = record_read_name(lmdb_bytes(&p.key), lmdb_bytes(&p.value), &id, &path);
        if (r == 0 && path.parent != dir)
            return 0;
        if (r == 0 && id != after && (r = each(id, path.name, arg)))
            return r;
        if (r == 0)
            r = place_go(&p, MDB_NEXT);
    }
    return r == -ENOENT ? 0 : r;
}

/* ---- changes ---- */

/* Reads the change that the place is at; -ENOENT if it is not one of `path`. */
static int read_change(const struct place *p, path_id path, struct history_change *ret)
{
    path_id id;
    int r = record_read_change(lmdb_bytes(&p->key), lmdb_bytes(&p->value), &id, ret);

    return r == 0 && id != path ? -ENOENT : r;
}

/* Goes to the first change of the path from `pos` on, or, `back`, to the last one up to it. */
static int seek_change(struct place *p, struct history_snapshot *s, path_id path, uint32_t pos,
                       bool back)
{
    struct history_record key;
    int r = place_open(p, s, HISTORY_CHANGES);

    record_change_key(&key, path, pos);
    if (r == 0)
        r = back ? place_seek_back(p, &key) : place_seek(p, &key);
    return r;
}

int history_snapshot_last_change(struct history_snapshot *s, path_id path, uint32_t pos,
                                 struct history_change *ret)
{
    _cleanup_(place_done) struct place p = {0};
    int r = seek_change(&p, s, path, pos, true);

    return r == 0 ? read_change(&p, path, ret) : r;
}

static int each_change(struct place *p, path_id path, MDB_cursor_op go,
                       int (*each)(const struct history_change *change, void *arg), void *arg)
{
    struct history_change change;
    int r;

    while ((r = read_change(p, path, &change)) == 0) {
        if ((r = each(&change, arg)))
            return r;
        if ((r = place_go(p, go)) < 0)
            break;
    }
    return r == -ENOENT ? 0 : r;
}

int history_snapshot_changes(struct history_snapshot *s, path_id path, uint32_t pos,
                             int (*each)(const struct history_change *change, void *arg), void *arg)
{
    _cleanup_(place_done) struct place p = {0};
    int r = seek_change(&p, s, path, pos, false);

    if (r < 0)
        return r == -ENOENT ? 0 : r;
    return each_change(&p, path, MDB_NEXT, each, arg);
}

int history_snapshot_changes_back(struct history_snapshot *s, path_id path, uint32_t pos,
                                  int (*each)(const struct history_change *change, void *arg),
                                  void *arg)
{
    _cleanup_(place_done) struct place p = {0};
    int r = seek_change(&p, s, path, pos, true);

    if (r < 0)
        return r == -ENOENT ? 0 : r;
    return each_change(&p, path, MDB_PREV, each, arg);
}
