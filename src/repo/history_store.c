#include "repo/history_store.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/io.h"
#include "repo/history_check.h"
#include "repo/history_lmdb.h"

/* Only addresses: what the largest index may ever need, and less where a limit forbids so much. */
#define MAP_MOST  (UINT64_C(64) << 30)
#define MAP_LEAST (UINT64_C(1) << 30)
/* One for each question that is being asked at the same time. */
#define READERS_MOST 2048

int lmdb_errno(int code)
{
    switch (code) {
    case MDB_SUCCESS:
        return 0;
    case MDB_NOTFOUND:
        return -ENOENT;
    case MDB_MAP_FULL:
        return -ENOSPC;
    case MDB_READERS_FULL:
        return -EAGAIN;
    case MDB_PANIC:
        return -ESTALE;
    }
    return code > 0 ? -code : -EUCLEAN;
}

static int open_databases(struct history_store *store)
{
    MDB_txn *txn;
    int code = mdb_txn_begin(store->env, NULL, 0, &txn);

    if (code)
        return code;
    for (int i = 0; code == 0 && i < HISTORY_DBS; i++)
        code = mdb_dbi_open(txn, history_db_name(i), MDB_CREATE, &store->dbi[i]);
    if (code == 0)
        return mdb_txn_commit(txn);
    mdb_txn_abort(txn);
    return code;
}

/* With as many addresses as there may be. LMDB cannot take more later while questions are asked. */
static int open_env(struct history_store *store, const char *dir)
{
    int code = ENOMEM;

    for (uint64_t size = MAP_MOST; code == ENOMEM && size >= MAP_LEAST; size /= 4) {
        mdb_env_close(store->env);
        store->env = NULL;
        code = mdb_env_create(&store->env);
        if (code == 0)
            code = mdb_env_set_mapsize(store->env, size);
        if (code == 0)
            code = mdb_env_set_maxdbs(store->env, HISTORY_DBS);
        if (code == 0)
            code = mdb_env_set_maxreaders(store->env, READERS_MOST);
        /* Without MDB_NOMETASYNC a commit would wait for the disk twice; power loss may undo the
         * last one now, which costs a moment of work. */
        if (code == 0)
            code = mdb_env_open(store->env, dir, MDB_NOTLS | MDB_NOMETASYNC, 0600);
    }
    return code;
}

int history_store_open(const char *dir, struct history_store **ret, struct diag *reterr)
{
    _cleanup_(history_store_closep) struct history_store *store = NEW(struct history_store);
    _cleanup_free_ char *data = xasprintf("%s/data.mdb", dir);
    int r = io_make_dirs(AT_FDCWD, dir, 0700);

    pthread_mutex_init(&store->lock, NULL);
    if (r < 0)
        return diag_fail(reterr, r, "cannot make %s: %s", dir, strerror(-r));
    r = history_check(data, reterr);
    if (r < 0)
        return r;
    int code = open_env(store, dir);
    if (code == 0)
        code = open_databases(store);
    if (code)
        return diag_fail(reterr, lmdb_errno(code), "%s: %s", data, mdb_strerror(code));
    *ret = TAKE(store);
    return 0;
}

void history_store_close(struct history_store *store)
{
    if (!store)
        return;
    for (struct history_snapshot *s = store->idle, *next; s; s = next) {
        next = s->next;
        mdb_txn_abort(s->txn);
        free(s);
    }
    mdb_env_close(store->env);
    pthread_mutex_destroy(&store->lock);
    free(store);
}

int history_store_remove(const char *dir, struct diag *reterr)
{
    static const char *const files[] = {"data.mdb", "lock.mdb"};

    for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
        _cleanup_free_ char *path = xasprintf("%s/%s", dir, files[i]);
        if (unlink(path) < 0 && errno != ENOENT)
            return diag_fail(reterr, -errno, "cannot remove %s: %s", path, strerror(errno));
    }
    return 0;
}
