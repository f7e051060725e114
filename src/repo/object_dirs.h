/* The directories that hold a repository's objects: its own first (none if that is not there), then
 * its alternates, each once. Inside src/repo only. */
#ifndef ONWARD_REPO_OBJECT_DIRS_H
#define ONWARD_REPO_OBJECT_DIRS_H

#include <stdbool.h>
#include <stddef.h>

struct object_dirs {
    char **v;
    size_t n, cap;
    bool unsure; /* there may be more: a list of alternates could not be read */
};

void object_dirs_find(const char *objects_dir, struct object_dirs *ret);
void object_dirs_done(struct object_dirs *dirs);

#endif
