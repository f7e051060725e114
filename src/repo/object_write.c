/* The writing half of object.h. Everything is read back before it is acknowledged: what a caller is
 * told to be stored can be read. */
#include <errno.h>
#include <git2.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "repo/giterr.h"
#include "repo/handle.h"
#include "repo/loose.h"
#include "repo/object.h"
#include "repo/object_write.h"
#include "repo/source.h"

/* Files up to this size are written from memory, larger ones in pieces. */
#define IN_MEMORY_MOST (8u << 20)
#define PIECE          (256u << 10)
#define NAME_MOST      255
/* `git gc` removes the directory of loose objects that we have just made, as often as it finds it
 * empty. */
#define TRIES 20

/* Reads it where readers find it: -EIO, naming it, unless it is there. */
static int read_back(struct handle *h, const struct oid *oid, struct diag *reterr)
{
    char hex[OID_HEX + 1];
    int r = source_verify(h->repo->source, oid);

    if (r == 0)
        return 0;
    return diag_fail(reterr, r == -ENOMEM ? r : -EIO,
                     "object %s cannot be read back after it was written: %s", oid_hex(oid, hex),
                     strerrordesc_np(-r));
}

int object_write(struct handle *h, const void *data, size_t len, git_object_t type, struct oid *ret,
                 struct diag *reterr)
{
    git_oid oid;
    int code = git_odb_write(&oid, h->odb, data, len, type);

    for (int i = 1; code < 0 && giterr_vanished() && i < TRIES; i++)
        code = git_odb_write(&oid, h->odb, data, len, type);
    if (code < 0)
        return giterr_fail(code, reterr, "cannot write to %s", h->repo->objects_dir);
    struct oid ours = oid_from_git(&oid);
    int r = read_back(h, &ours, reterr);
    if (r == 0)
        *ret = ours;
    return r;
}

int blob_write(struct repo *repo, const void *data, size_t len, struct oid *ret,
               struct diag *reterr)
{
    _cleanup_(handle_give_backp) struct handle *h = NULL;
    int r = handle_borrow(repo, &h, reterr);

    return r < 0 ? r : object_write(h, data, len, GIT_OBJECT_BLOB, ret, reterr);
}

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

static int stream_pieces(git_odb_stream *stream, int fd, uint64_t size, struct diag *reterr)
{
    _cleanup_free_ char *piece = xmalloc(PIECE);

    for (uint64_t at = 0; at < size;) {
        size_t n = size - at < PIECE ? size - at : PIECE;
        int r = object_read_file(fd, piece, n, at, reterr);
        if (r < 0)
            return r;
        int code = git_odb_stream_write(stream, piece, n);
        if (code < 0)
            return giterr_fail(code, reterr, "cannot store the file");
        at += n;
    }
    return 0;
}

/* After a large blob was streamed: compares it with the file without holding it in memory, unless
 * it was in a pack already. */
static int compare_back(struct handle *h, const struct oid *oid, int fd, uint64_t size,
                        struct diag *reterr)
{
    char hex[OID_HEX + 1];
    uint64_t len;
    git_object_t type;
    int r = loose_compare_blob(h->repo->objects_dir, oid, fd, size);

    if (r == -ENOENT && source_header(h->repo->source, oid, &type, &len) == 0 &&
        type == GIT_OBJECT_BLOB && len == size)
        return 0;
    if (r == 0)
        return 0;
    return diag_fail(reterr, -EIO, "object %s cannot be read back after it was written",
                     oid_hex(oid, hex));
}

/* One try. 1: the directory that it should go to was removed meanwhile. */
static int stream_once(struct handle *h, int fd, uint64_t size, git_oid *ret, struct diag *reterr)
{
    git_odb_stream *stream;
    int code = git_odb_open_wstream(&stream, h->odb, size, GIT_OBJECT_BLOB);

    if (code < 0)
        return giterr_fail(code, reterr, "cannot write to %s", h->repo->objects_dir);
    int r = stream_pieces(stream, fd, size, reterr);
    if (r == 0 && (code = git_odb_stream_finalize_write(ret, stream)) < 0)
        r = giterr_vanished()
                ? 1
                : giterr_fail(code, reterr, "cannot write to %s", h->repo->objects_dir);
    git_odb_stream_free(stream);
    return r;
}

static int blob_stream(struct handle *h, int fd, uint64_t size, struct oid *ret,
                       struct diag *reterr)
{
    git_oid oid;
    int r = stream_once(h, fd, size, &oid, reterr);

    for (int i = 1; r == 1 && i < TRIES; i++)
        r = stream_once(h, fd, size, &oid, reterr);
    if (r == 1)
        r = diag_fail(reterr, -EIO, "cannot write to %s: its directories vanish again and again",
                      h->repo->objects_dir);
    if (r < 0)
        return r;
    struct oid ours = oid_from_git(&oid);
    r = compare_back(h, &ours, fd, size, reterr);
    if (r == 0)
        *ret = ours;
    return r;
}

int blob_write_fd(struct repo *repo, int fd, uint64_t size, struct oid *ret, struct diag *reterr)
{
    _cleanup_(handle_give_backp) struct handle *h = NULL;
    int r = handle_borrow(repo, &h, reterr);

    if (r < 0)
        return r;
    if (size > IN_MEMORY_MOST)
        return blob_stream(h, fd, size, ret, reterr);
    _cleanup_free_ char *data = malloc(size + 1);
    if (!data)
        return -ENOMEM;
    r = object_read_file(fd, data, size, 0, reterr);
    return r < 0 ? r : object_write(h, data, size, GIT_OBJECT_BLOB, ret, reterr);
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

int tree_write(struct repo *repo, const struct tree_entry *entries, size_t n, struct oid *ret,
               struct diag *reterr)
{
    _cleanup_(handle_give_backp) struct handle *h = NULL;
    _cleanup_(buf_done) struct buf raw = {0};
    int r = tree_encode(entries, n, &raw, reterr);

    if (r == 0)
        r = handle_borrow(repo, &h, reterr);
    return r < 0 ? r : object_write(h, buf_str(&raw), raw.len, GIT_OBJECT_TREE, ret, reterr);
}
