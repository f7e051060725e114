/* Files that must fail: each NAME.yaml of a directory has beside it NAME.expect, the findings that
 * reading it must give, exactly. A new way to be wrong is a new pair of files. */
#ifndef ONWARD_TESTS_BAD_REPLAY_H
#define ONWARD_TESTS_BAD_REPLAY_H

#include "base/finding.h"

/* Calls judge() for every file and fails the running test, naming each file whose findings are not
 * the expected ones, with what was found. */
void bad_replay(const char *dir,
                void (*judge)(const char *path, const char *text, struct findings *ret, void *arg),
                void *arg);

#endif
