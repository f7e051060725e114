/* A repository, a staging area over it, and the calls of a kernel to its nodes by path. Paths are
 * relative to `staging/`. Functions return what the op does: 0, a count, or -errno. */
#ifndef ONWARD_TESTS_STAGE_FIXTURE_H
#define ONWARD_TESTS_STAGE_FIXTURE_H

#include "base/cleanup.h"
#include "repo/mainline.h"
#include "stage/staging.h"
#include "testlib.h"
#include "tree/table.h"

struct fixture {
    char *dir;  /* temporary */
    char *work; /* the repository, bare: <dir>/repo.git */
    char *state;
    struct repo *repo;
    struct mainline *mainline;
    struct node_table *table;
    struct staging *staging;
    struct staging_config config;
};

extern const struct caller me, stranger, root_user;

/* An empty bare repository; not yet opened. */
struct fixture *fixture_new(void);
/* Commits the tree of `dir/path` pairs with git, in a clone that is thrown away; returns the id
 * (free). */
char *fixture_push(struct fixture *f, const char *script);
/* Opens staging area and table (again); closes them. */
void fixture_open(struct fixture *f);
void fixture_close(struct fixture *f);
void fixture_free(struct fixture *f);

/* The node at a path, referenced, or NULL with the error in *err. */
struct node *fx_walk(struct fixture *f, const char *path, int *err);
struct node *fx_get(struct fixture *f, const char *path); /* fails the test */

int fx_create(struct fixture *f, const char *path, mode_t mode);
int fx_mkdir(struct fixture *f, const char *path, mode_t mode);
int fx_symlink(struct fixture *f, const char *path, const char *target);
int fx_unlink(struct fixture *f, const char *path);
int fx_rmdir(struct fixture *f, const char *path);
int fx_rename(struct fixture *f, const char *from, const char *to, unsigned flags);
int fx_stat(struct fixture *f, const char *path, struct stat *st);
int fx_chmod(struct fixture *f, const char *path, mode_t mode);
int fx_truncate(struct fixture *f, const char *path, off_t size);
ssize_t fx_write(struct fixture *f, const char *path, const char *text, off_t off);
/* Creates or overwrites; fails the test. */
void fx_put(struct fixture *f, const char *path, const char *text);
/* The whole content, NUL-terminated; NULL and *err. */
char *fx_read(struct fixture *f, const char *path, int *err);
void fx_assert_content(struct fixture *f, const char *path, const char *text);
/* The names in a directory, sorted, one a line with '/' behind directories and '@' behind links. */
char *fx_list(struct fixture *f, const char *path);
/* Writes a line to ws/.onward/commit as `who`. */
int fx_commit(struct fixture *f, const char *ws, const struct caller *who, const char *message);

int node_chmod(struct node *n, mode_t mode);
int node_truncate(struct node *n, off_t size);
void node_stat(struct node *n, struct stat *st);
char *node_content(struct node *n, size_t *ret_len);

#endif
