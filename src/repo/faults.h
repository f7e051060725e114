/* What is found to be wrong with a repository: said once in the log, counted, and told to who
 * listens. Within bounds, so that a hostile repository cannot fill memory. Thread-safe. Inside
 * src/repo only; repo.h has the listener's side. */
#ifndef ONWARD_REPO_FAULTS_H
#define ONWARD_REPO_FAULTS_H

#include <stdbool.h>

#include "base/cleanup.h"
#include "repo/oid.h"
#include "repo/repo.h"

struct faults;

struct faults *faults_new(void);
void faults_free(struct faults *f);
DEFINE_CLEANUP(struct faults *, faults_free)

/* What was found before anybody listened is told now. */
void faults_listen(struct faults *f, repo_fault_fn *fault, void *arg);
void faults_object(struct faults *f, const struct oid *oid, const char *why);
/* `why` begins with the file. */
void faults_pack(struct faults *f, const char *why);
/* True the first time that it is asked for this tree. */
bool faults_first_hiding(struct faults *f, const struct oid *tree);

#endif
