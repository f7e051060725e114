#include "repo/history_record.h"

#include <assert.h>
#include <endian.h>
#include <errno.h>

#include "base/map.h"

#define SUM 4 /* bytes of checksum at the end of each value */

/* Bits of a change. */
#define THERE      0x80
#define LISTING    0x40
#define KIND_BITS  0x07
#define CHANGE_LEN (4 + 1 + OID_RAW)

static const char line_key[] = "line";

static const char *const names[HISTORY_DBS] = {
    [HISTORY_LINE] = "line",           [HISTORY_REVISIONS] = "revisions",
    [HISTORY_POSITIONS] = "positions", [HISTORY_TIMES] = "times",
    [HISTORY_NAMES] = "names",         [HISTORY_PATHS] = "paths",
    [HISTORY_CHANGES] = "changes",
};

const char *history_db_name(enum history_db db)
{
    return names[db];
}

int history_db_of(struct bytes name)
{
    for (int i = 0; i < HISTORY_DBS; i++)
        if (strlen(names[i]) == name.n && !memcmp(names[i], name.data, name.n))
            return i;
    return -1;
}

static void put32(unsigned char *at, uint32_t v)
{
    v = htobe32(v);
    memcpy(at, &v, sizeof(v));
}

static uint32_t get32(const unsigned char *at)
{
    uint32_t v;

    memcpy(&v, at, sizeof(v));
    return be32toh(v);
}

/* Flipping the sign makes negative times sort before the others. */
static void put_time(unsigned char *at, int64_t time)
{
    uint64_t v = htobe64((uint64_t)time ^ (UINT64_C(1) << 63));

    memcpy(at, &v, sizeof(v));
}

static int64_t get_time(const unsigned char *at)
{
    uint64_t v;

    memcpy(&v, at, sizeof(v));
    return (int64_t)(be64toh(v) ^ (UINT64_C(1) << 63));
}

static uint32_t sum_of(enum history_db db, struct bytes key, const unsigned char *value, size_t n)
{
    return hash_bytes(value, n, hash_bytes(key.data, key.n, HISTORY_FORMAT << 8 | db));
}

/* Ends a record whose key and value are in place. */
static void seal(struct history_record *r, enum history_db db)
{
    put32(r->value + r->nvalue, sum_of(db, record_key(r), r->value, r->nvalue));
    r->nvalue += SUM;
}

void record_line(struct history_record *r, const struct history_line *line)
{
    r->nkey = sizeof(line_key) - 1;
    memcpy(r->key, line_key, r->nkey);
    r->nvalue = 16 + OID_RAW;
    if (!line)
        return;
    put32(r->value, HISTORY_FORMAT);
    put32(r->value + 4, line->count);
    put32(r->value + 8, line->next);
    put32(r->value + 12, line->epoch);
    memcpy(r->value + 16, line->head.id, OID_RAW);
    seal(r, HISTORY_LINE);
}

void record_revision(struct history_record *r, uint32_t pos, const struct oid *oid, int64_t time)
{
    r->nkey = 4;
    put32(r->key, pos);
    r->nvalue = OID_RAW + 8;
    if (!oid)
        return;
    memcpy(r->value, oid->id, OID_RAW);
    put_time(r->value + OID_RAW, time);
    seal(r, HISTORY_REVISIONS);
}

void record_position(struct history_record *r, const struct oid *oid, uint32_t pos)
{
    r->nkey = OID_RAW;
    memcpy(r->key, oid->id, OID_RAW);
    r->nvalue = 4;
    put32(r->value, pos);
    seal(r, HISTORY_POSITIONS);
}

void record_time(struct history_record *r, int64_t time, uint32_t pos)
{
    r->nkey = 8;
    put_time(r->key, time);
    r->nvalue = 4;
    put32(r->value, pos);
    seal(r, HISTORY_TIMES);
}

void record_name(struct history_record *r, path_id parent, const char *name, path_id id)
{
    size_t len = strlen(name);

    assert(len <= NAME_MOST);
    r->nkey = 4 + len;
    put32(r->key, parent);
    memcpy(r->key + 4, name, len);
    r->nvalue = 4;
    put32(r->value, id);
    seal(r, HISTORY_NAMES);
}

void record_path(struct history_record *r, path_id id, path_id parent, const char *name)
{
    r->nkey = 4;
    put32(r->key, id);
    r->nvalue = 4;
    if (!name)
        return;
    size_t len = strlen(name);
    assert(len <= NAME_MOST);
    put32(r->value, parent);
    memcpy(r->value + 4, name, len);
    r->nvalue += len;
    seal(r, HISTORY_PATHS);
}

void record_change_key(struct history_record *r, path_id id, uint32_t pos)
{
    r->nkey = 8;
    put32(r->key, id);
    put32(r->key + 4, pos);
}

void record_change(struct history_record *r, path_id id, const struct history_change *change)
{
    record_change_key(r, id, change->pos);
    r->nvalue = CHANGE_LEN;
    put32(r->value, change->number);
    r->value[4] = (change->there ? THERE : 0) | (change->listing ? LISTING : 0) | change->kind;
    memcpy(r->value + 5, change->oid.id, OID_RAW);
    seal(r, HISTORY_CHANGES);
}

/* Lengths that a key and a value without its checksum may have. */
static bool right_size(enum history_db db, size_t nkey, size_t nvalue)
{
    static const struct {
        size_t key, value, more_key, more_value;
    } sizes[HISTORY_DBS] = {
        [HISTORY_LINE] = {sizeof(line_key) - 1, 16 + OID_RAW},
        [HISTORY_REVISIONS] = {4, OID_RAW + 8},
        [HISTORY_POSITIONS] = {OID_RAW, 4},
        [HISTORY_TIMES] = {8, 4},
        [HISTORY_NAMES] = {4 + 1, 4, .more_key = NAME_MOST - 1},
        [HISTORY_PATHS] = {4, 4 + 1, .more_value = NAME_MOST - 1},
        [HISTORY_CHANGES] = {8, CHANGE_LEN},
    };

    return nkey >= sizes[db].key && nkey <= sizes[db].key + sizes[db].more_key &&
           nvalue >= sizes[db].value && nvalue <= sizes[db].value + sizes[db].more_value;
}

bool record_valid(enum history_db db, struct bytes key, struct bytes value)
{
    return value.n >= SUM && right_size(db, key.n, value.n - SUM) &&
           get32(value.data + value.n - SUM) == sum_of(db, key, value.data, value.n - SUM);
}

int record_read_line(struct bytes key, struct bytes value, struct history_line *ret)
{
    if (!record_valid(HISTORY_LINE, key, value) || get32(value.data) != HISTORY_FORMAT)
        return -EUCLEAN;
    ret->count = get32(value.data + 4);
    ret->next = get32(value.data + 8);
    ret->epoch = get32(value.data + 12);
    memcpy(ret->head.id, value.data + 16, OID_RAW);
    return 0;
}

int record_read_revision(struct bytes key, struct bytes value, struct history_revision *ret)
{
    if (!record_valid(HISTORY_REVISIONS, key, value))
        return -EUCLEAN;
    ret->pos = get32(key.data);
    memcpy(ret->oid.id, value.data, OID_RAW);
    ret->time = get_time(value.data + OID_RAW);
    return 0;
}

int record_read_position(struct bytes key, struct bytes value, uint32_t *ret)
{
    if (!record_valid(HISTORY_POSITIONS, key, value))
        return -EUCLEAN;
    *ret = get32(value.data);
    return 0;
}

int record_read_time(struct bytes key, struct bytes value, uint32_t *ret)
{
    if (!record_valid(HISTORY_TIMES, key, value))
        return -EUCLEAN;
    *ret = get32(value.data);
    return 0;
}

static void copy_path(struct history_path *path, path_id parent, const unsigned char *name,
                      size_t len)
{
    path->parent = parent;
    memcpy(path->name, name, len);
    path->name[len] = 0;
}

int record_read_name(struct bytes key, struct bytes value, path_id *ret, struct history_path *path)
{
    if (!record_valid(HISTORY_NAMES, key, value))
        return -EUCLEAN;
    *ret = get32(value.data);
    if (path)
        copy_path(path, get32(key.data), key.data + 4, key.n - 4);
    return 0;
}

int record_read_path(struct bytes key, struct bytes value, struct history_path *ret)
{
    if (!record_valid(HISTORY_PATHS, key, value))
        return -EUCLEAN;
    copy_path(ret, get32(value.data), value.data + 4, value.n - SUM - 4);
    return 0;
}

int record_read_change(struct bytes key, struct bytes value, path_id *ret_id,
                       struct history_change *ret)
{
    if (!record_valid(HISTORY_CHANGES, key, value))
        return -EUCLEAN;
    *ret_id = get32(key.data);
    ret->pos = get32(key.data + 4);
    ret->number = get32(value.data);
    ret->there = value.data[4] & THERE;
    ret->listing = value.data[4] & LISTING;
    ret->kind = value.data[4] & KIND_BITS;
    memcpy(ret->oid.id, value.data + 5, OID_RAW);
    return 0;
}
