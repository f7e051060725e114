/* Whether the file of a history store is whole. LMDB believes what is in its file and crashes on
 * what cannot be, so nothing of it may be used before this has found every page to be one, in its
 * place, with its records in order and true to their checksums, and none both free and in use.
 * Reads what is in use, once.
 *
 * It knows how LMDB 0.9 lays out a file (its format 1, the only one up to 0.9.33). A file that a
 * later LMDB wrote another way is "damaged" here, which costs that the index is made anew. Inside
 * src/repo only. */
#ifndef ONWARD_REPO_HISTORY_CHECK_H
#define ONWARD_REPO_HISTORY_CHECK_H

#include "base/diag.h"

/* 0: it is whole, or not there, or empty. -EUCLEAN: it is damaged; `reterr` says where. */
int history_check(const char *path, struct diag *reterr);

#endif
