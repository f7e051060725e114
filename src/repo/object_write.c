/* What new objects are made of; where they go: sink.h. */
#include <errno.h>
#include <git2.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "repo/giterr.h"
#include "repo/handle.h"
#include "repo/hash.h"
#include "repo/object.h"
#include "repo/object_write.h"
#include "repo/source.h"

#define NAME_MOST 255

int object_read_file(int fd, char *out, size_t len, uint64_t at, struct diag *reterr)
{
    while (len) {
        ssize_t n = pread(fd, out, len, at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return diag_fail(reterr, -errno, "cannot read the file to store: %s",
                             strerrordesc_np(errno));
        if (n == 0)
            return diag_fail(reterr, -EIO, "the file to store became shorter while it was read");
        out += n;
        len -= n;
        at += n;
    }
    return 0;
}

bool blob_is_file(struct repo *repo, const struct oid *oid, int fd, uint64_t size)
{
    struct oid own;
    git_object_t type;
    uint64_t has;

    return source_header(repo->source, oid, &type, &has) == 0 && has == size &&
           type == GIT_OBJECT_BLOB && hash_file(GIT_OBJECT_BLOB, fd, size, -1, 0, &own) == 0 &&
           oid_equal(&own, oid);
}

void blob_hash(const void *data, size_t len, struct oid *ret)
{
    git_oid oid;

    git_odb_hash(&oid, data, len, GIT_OBJECT_BLOB);
    *ret = oid_from_git(&oid);
}

int tree_entry_compare_git(const struct tree_entry *a, const struct tree_entry *b)
{
    size_t x = strlen(a->name), y = strlen(b->name), n = x < y ? x : y;
    int c = memcmp(a->name, b->name, n);

    if (c)
        return c;
    unsigned char p = a->name[n], q = b->name[n];
    if (!p && a->kind == ENTRY_DIR)
        p = '/';
    if (!q && b->kind == ENTRY_DIR)
        q = '/';
    return (p > q) - (p < q);
}

static int compare_entries(const void *a, const void *b)
{
    return tree_entry_compare_git(*(const struct tree_entry *const *)a,
                                  *(const struct tree_entry *const *)b);
}

static int compare_names(const void *a, const void *b)
{
    return strcmp((*(const struct tree_entry *const *)a)->name,
                  (*(const struct tree_entry *const *)b)->name);
}

static const char *name_fault(const char *name)
{
    if (!*name)
        return "is empty";
    if (strlen(name) > NAME_MOST)
        return "is longer than 255 bytes";
    if (strchr(name, '/'))
        return "has a slash";
    if (!strcmp(name, ".") || !strcmp(name, "..") || !strcasecmp(name, ".git"))
        return "is not allowed in Git";
    return NULL;
}

/* -EINVAL with the reason if an entry cannot be in a tree. Leaves `sorted` in order of names. */
static int check_entries(const struct tree_entry **sorted, size_t n, struct diag *reterr)
{
    qsort(sorted, n, sizeof(*sorted), compare_names);
    for (size_t i = 0; i < n; i++) {
        const char *fault = name_fault(sorted[i]->name);
        if (!fault && i && !strcmp(sorted[i - 1]->name, sorted[i]->name))
            fault = "is there twice";
        if (!fault && oid_is_zero(&sorted[i]->oid))
            fault = "has no content";
        if (fault) {
            _cleanup_(buf_done) struct buf shown = {0};
            buf_add_escaped(&shown, sorted[i]->name);
            return diag_fail(reterr, -EINVAL, "the name '%.300s' %s", buf_str(&shown), fault);
        }
    }
    return 0;
}

int tree_encode(const struct tree_entry *entries, size_t n, struct buf *ret, struct diag *reterr)
{
    static const char *const modes[] = {
        [ENTRY_FILE] = "100644", [ENTRY_EXEC] = "100755",   [ENTRY_LINK] = "120000",
        [ENTRY_DIR] = "40000",   [ENTRY_MODULE] = "160000",
    };
    _cleanup_free_ const struct tree_entry **sorted = xcalloc(n + 1, sizeof(*sorted));

    for (size_t i = 0; i < n; i++)
        sorted[i] = &entries[i];
    int r = check_entries(sorted, n, reterr);
    if (r < 0)
        return r;
    qsort(sorted, n, sizeof(*sorted), compare_entries);
    for (size_t i = 0; i < n; i++) {
        buf_addf(ret, "%s %s", modes[sorted[i]->kind], sorted[i]->name);
        buf_addc(ret, 0);
        buf_add(ret, sorted[i]->oid.id, OID_RAW);
    }
    return 0;
}
