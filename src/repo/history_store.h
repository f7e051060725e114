/* The file of the history index: an LMDB environment, whose databases history_record.h lists. It is
 * read through snapshots (history_snapshot.h), which see one state of it however it grows
 * meanwhile, and written in batches (history_batch.h) by one thread.
 *
 * LMDB trusts its file: a damaged one can crash it. So the file is checked, page by page and record
 * by record, before LMDB sees it (history_check.h).
 *
 * Errors of the three: -EUCLEAN: it is damaged or of another format, and of no use; -ESTALE: a
 * commit failed halfway, it must be closed and opened again; others as they come from the disk.
 * Only one process, and only once in it, may have a directory open. Inside src/repo only. */
#ifndef ONWARD_REPO_HISTORY_STORE_H
#define ONWARD_REPO_HISTORY_STORE_H

#include "base/cleanup.h"
#include "base/diag.h"

struct history_store;

/* Opens the store in `dir`, which is made if it is not there, and is empty then. */
int history_store_open(const char *dir, struct history_store **ret, struct diag *reterr);
/* No snapshot and no batch may be in use. */
void history_store_close(struct history_store *store);
DEFINE_CLEANUP(struct history_store *, history_store_close)
/* Removes what is in the directory, whatever its state. It must not be open. */
int history_store_remove(const char *dir, struct diag *reterr);

#endif
