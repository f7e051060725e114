/* The files that a change brings, and what the built-in checks say of them. Private to this folder.
 */
#ifndef ONWARD_CHECK_FILES_H
#define ONWARD_CHECK_FILES_H

#include <stdbool.h>

#include "base/diag.h"
#include "base/finding.h"
#include "check/check.h"
#include "repo/object.h"

/* A file that is new or has changed. */
struct changed_file {
    char *path;
    struct oid oid, old; /* old: zero if there was no file */
};

/* In the order of paths. Symlinks and submodules are not among them. */
struct changed_files {
    VEC(struct changed_file);
    bool any; /* something has changed, perhaps no file */
};

int changed_files_find(struct repo *repo, const struct check_input *in, struct changed_files *ret);
void changed_files_done(struct changed_files *files);

/* Which of the checks run that do not always run. */
enum file_checks { FILE_YAML = 1 << 0, FILE_JSON = 1 << 1 };
/* Of the name of such a check; 0 for others. */
unsigned file_check_named(const char *name);

struct file_rules {
    struct repo *repo;
    unsigned checks;         /* enum file_checks */
    uint64_t most_file_size; /* 0: any */
};

/* Adds what is wrong with `n` files. */
int files_check(const struct file_rules *rules, const struct changed_file *files, size_t n,
                struct findings *findings, struct diag *reterr);

#endif
