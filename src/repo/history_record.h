/* The records of the history index as bytes: keys that sort the way they are read, and values that
 * end in a checksum over both, so that no damaged record passes for another one. Numbers are
 * big-endian. Knows nothing of the store that keeps them. Inside src/repo only. */
#ifndef ONWARD_REPO_HISTORY_RECORD_H
#define ONWARD_REPO_HISTORY_RECORD_H

#include "repo/history_index.h"

/* Changes with anything below: an index of another format is made anew. */
#define HISTORY_FORMAT 1

enum history_db {
    HISTORY_LINE,      /* one record: format, and what struct history_line says */
    HISTORY_REVISIONS, /* pos -> id, time */
    HISTORY_POSITIONS, /* id -> pos */
    HISTORY_TIMES,     /* time -> pos, of those revisions that no later one is as old as or older */
    HISTORY_NAMES,     /* parent, name -> path_id */
    HISTORY_PATHS,     /* path_id -> parent, name */
    HISTORY_CHANGES,   /* path_id, pos -> number, what it became */
    HISTORY_DBS
};

#define NAME_MOST 255

/* Some bytes of somebody else's. */
struct bytes {
    const unsigned char *data;
    size_t n;
};

struct history_record {
    size_t nkey, nvalue;
    unsigned char key[4 + NAME_MOST], value[4 + NAME_MOST + 4];
};

static inline struct bytes record_key(const struct history_record *r)
{
    return (struct bytes){r->key, r->nkey};
}

/* What one index is about. */
struct history_line {
    uint32_t count;  /* revisions */
    path_id next;    /* ids from here on have never been given */
    uint32_t epoch;  /* how often revisions were taken off */
    struct oid head; /* the revision at count - 1 */
};

struct history_path {
    path_id parent;
    char name[NAME_MOST + 1];
};

/* What a database is called in the file, and the database that is called so (-1: none). */
const char *history_db_name(enum history_db db);
int history_db_of(struct bytes name);

/* Each makes a whole record, or only its key: then the value's arguments are NULL or 0. */
void record_line(struct history_record *r, const struct history_line *line);
void record_revision(struct history_record *r, uint32_t pos, const struct oid *oid, int64_t time);
void record_position(struct history_record *r, const struct oid *oid, uint32_t pos);
void record_time(struct history_record *r, int64_t time, uint32_t pos);
void record_name(struct history_record *r, path_id parent, const char *name, path_id id);
void record_path(struct history_record *r, path_id id, path_id parent, const char *name);
void record_change(struct history_record *r, path_id id, const struct history_change *change);
void record_change_key(struct history_record *r, path_id id, uint32_t pos);

/* Whether it is a record of this database, whole and as it was written. */
bool record_valid(enum history_db db, struct bytes key, struct bytes value);

/* What a record says. -EUCLEAN: it is damaged. */
int record_read_line(struct bytes key, struct bytes value, struct history_line *ret);
int record_read_revision(struct bytes key, struct bytes value, struct history_revision *ret);
int record_read_position(struct bytes key, struct bytes value, uint32_t *ret);
int record_read_time(struct bytes key, struct bytes value, uint32_t *ret);
int record_read_name(struct bytes key, struct bytes value, path_id *ret, struct history_path *path);
int record_read_path(struct bytes key, struct bytes value, struct history_path *ret);
int record_read_change(struct bytes key, struct bytes value, path_id *ret_id,
                       struct history_change *ret);

#endif
