/* What a history index must answer, found the slow way: by `git ls-tree` of every revision of the
 * line. And random histories to ask about. */
#ifndef ONWARD_TESTS_REPO_HISTORY_ORACLE_H
#define ONWARD_TESTS_REPO_HISTORY_ORACLE_H

#include "testlib.h"

#include "repo/history_index.h"

/* Adds `n` random commits to the branch main of the repository at `path`, with side branches,
 * merges, clocks that go wrong, names of any bytes, files that become directories, links, modules
 * and modes. `from`: the revision that they start from; NULL: nothing. */
void history_random(const char *path, unsigned seed, int n, const char *from);
/* The same, and at last a merge whose first parent is the side branch. */
void history_random_turn(const char *path, unsigned seed, int n, const char *from);

struct oracle;

/* All that there is to know about `rev` of the repository at `path`. */
struct oracle *oracle_new(const char *path, const char *rev);
void oracle_free(struct oracle *o);
DEFINE_CLEANUP(struct oracle *, oracle_free)

struct oid oracle_head(const struct oracle *o);
uint32_t oracle_count(const struct oracle *o);
/* Asks the index everything and compares. */
void oracle_assert_answers(struct oracle *o, struct history_index *ix);

/* Opens, follows to the head, waits. */
struct history_index *history_open_at(struct repo *repo, const char *dir, const struct oid *head);
void history_go_to(struct history_index *ix, const struct oid *head);

#endif
