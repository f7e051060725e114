/* What the files that use LMDB share: the inside of a store. */
#ifndef ONWARD_REPO_HISTORY_LMDB_H
#define ONWARD_REPO_HISTORY_LMDB_H

#include <lmdb.h>
#include <pthread.h>

#include "repo/history_record.h"
#include "repo/history_snapshot.h"
#include "repo/history_store.h"

struct history_store {
    MDB_env *env;
    MDB_dbi dbi[HISTORY_DBS];
    pthread_mutex_t lock;          /* guards `idle`, for moments */
    struct history_snapshot *idle; /* read transactions that wait for the next question */
};

struct history_snapshot {
    struct history_store *store;
    MDB_txn *txn;
    struct history_snapshot *next;
};

/* -errno for what a function of LMDB returned. */
int lmdb_errno(int code);

static inline MDB_val lmdb_key(const struct history_record *r)
{
    return (MDB_val){r->nkey, (void *)r->key};
}

static inline MDB_val lmdb_value(const struct history_record *r)
{
    return (MDB_val){r->nvalue, (void *)r->value};
}

static inline struct bytes lmdb_bytes(const MDB_val *v)
{
    return (struct bytes){v->mv_data, v->mv_size};
}

#endif
