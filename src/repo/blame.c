#include "repo/blame.h"

#include <errno.h>
#include <git2.h>
#include <inttypes.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "repo/diff.h"
#include "repo/handle.h"
#include "repo/revision.h"

#define BINARY_LOOK 8000 /* bytes, as Git */
#define LABEL       24   /* bytes of the columns before the path */
#define LINE_LEAST  27   /* bytes that a line comes to, without path and text */

#define OWN UINT32_MAX /* in place of a place on the mainline: the revision that is looked at */

/* The lines of one file, and what is known of each. Those that have no maker yet are known by their
 * numbers in the version that is being looked at, in order. */
struct lines {
    const struct blame *blame;
    size_t most; /* bytes of a version that is looked at */
    struct blob *blob;
    size_t n, open;
    struct line {
        const char *text;
        uint32_t len;
        uint32_t at;    /* number in the version, from 1; 0: the maker is known */
        uint32_t maker; /* place of the revision that last changed it */
    } * v;
    struct blob *version; /* NULL: the file itself */
    struct oid version_oid;
    uint32_t maker; /* of the version */
};

static void lines_done(struct lines *l)
{
    blob_unref(l->blob);
    blob_unref(l->version);
    free(l->v);
}

static bool is_text(const struct blob *blob)
{
    return !memchr(blob->data, 0, blob->size < BINARY_LOOK ? blob->size : BINARY_LOOK);
}

/* -EFBIG: they would come to more than `most` bytes. */
static int lines_split(struct lines *l)
{
    const char *at = l->blob->data, *end = at + l->blob->size;
    size_t n = blob_lines(l->blob);

    if (l->blob->size > l->most || n > l->most / LINE_LEAST || n > BLOB_LINES_MOST)
        return -EFBIG;
    l->v = xcalloc(n + 1, sizeof(*l->v));
    while (at < end) {
        const char *newline = memchr(at, '\n', end - at);
        size_t len = newline ? newline - at : end - at;
        l->v[l->n] = (struct line){.text = at, .len = len, .at = l->n + 1};
        l->n++;
        at += len + 1;
    }
    l->open = l->n;
    return 0;
}

static void give(struct lines *l, struct line *line)
{
    line->maker = l->maker;
    line->at = 0;
    l->open--;
}

/* Nothing before it has any of the lines that are left. */
static void give_rest(struct lines *l)
{
    for (size_t i = 0; i < l->n; i++)
        if (l->v[i].at)
            give(l, &l->v[i]);
}

/* What a comparison has come to: all lines before `next` have been dealt with; behind it, a line is
 * `shift` further in the newer version than in the older one. */
struct step {
    struct lines *lines;
    size_t next;
    int64_t shift;
};

/* Moves the open lines up to number `end` (not included) to the older version. */
static void pass_on(struct step *s, uint32_t end)
{
    struct lines *l = s->lines;

    for (; s->next < l->n && (!l->v[s->next].at || l->v[s->next].at < end); s->next++)
        if (l->v[s->next].at)
            l->v[s->next].at -= s->shift;
}

/* The lines of a hunk are in the newer version only. */
static int on_hunk(const git_diff_delta *delta, const git_diff_hunk *hunk, void *arg)
{
    struct step *s = arg;
    struct lines *l = s->lines;
    /* A hunk without new lines says behind which one it is. */
    uint32_t begin = hunk->new_start + (hunk->new_lines ? 0 : 1), end = begin + hunk->new_lines;

    pass_on(s, begin);
    for (; s->next < l->n && (!l->v[s->next].at || l->v[s->next].at < end); s->next++)
        if (l->v[s->next].at)
            give(l, &l->v[s->next]);
    s->shift += (int64_t)hunk->new_lines - hunk->old_lines;
    return 0;
}

/* Goes from the version that the open lines are in to the one before it. */
static int compare(struct lines *l, const struct oid *older)
{
    git_diff_options opts = GIT_DIFF_OPTIONS_INIT;
    struct step s = {.lines = l};
    struct blob *blob;
    uint64_t size;
    int r = blob_size(l->blame->repo, older, &size);

    if (r == 0)
        r = size > l->most ? -EFBIG : blob_load(l->blame->repo, older, &blob);
    if (r == 0 && blob_lines(blob) > BLOB_LINES_MOST) {
        blob_unref(blob);
        r = -EFBIG;
    }
    if (r < 0)
        return r == -ENOENT ? -EIO : r;
    const struct blob *newer = l->version ? l->version : l->blob;
    opts.flags = GIT_DIFF_FORCE_TEXT | GIT_DIFF_INDENT_HEURISTIC;
    opts.context_lines = 0;
    r = git_diff_buffers(blob->data, blob->size, NULL, newer->data, newer->size, NULL, &opts, NULL,
                         NULL, on_hunk, NULL, &s);
    pass_on(&s, UINT32_MAX);
    blob_unref(l->version);
    l->version = blob;
    l->version_oid = *older;
    return r < 0 ? -EIO : 0;
}

/* One version of the path, newest first: what is still open is in it, or was made by the one that
 * came after it. */
static int on_version(const struct history_change *c, void *arg)
{
    struct lines *l = arg;
    bool is_file = c->there && (c->kind == ENTRY_FILE || c->kind == ENTRY_EXEC);
    int r = 0;

    if (!is_file)
        give_rest(l);
    else if (!oid_equal(&c->oid, &l->version_oid))
        r = compare(l, &c->oid);
    l->maker = c->pos;
    return r < 0 ? r : l->open == 0;
}

static int find_makers(struct lines *l, const char *path)
{
    const struct blame *b = l->blame;
    path_id id;
    int r = b->pos == BLAME_NOWHERE ? -ENOENT : history_index_path(b->index, path, &id);

    l->maker = OWN;
    if (r == 0)
        r = history_index_changes_back(b->index, id, b->pos, on_version, l);
    if (r < 0 && r != -ENOENT)
        return r;
    give_rest(l);
    return 0;
}

/* All files of a directory. */
struct sheet {
    const struct blame *blame;
    const char *path;
    size_t most;
    struct buf *out; /* NULL: only the size is wanted */
    size_t size;
};

/* The first two columns. */
static int make_label(const struct blame *b, uint32_t maker, struct buf *out)
{
    struct history_revision rev = {.oid = b->revision, .time = b->time};
    char hex[OID_HEX + 1], when[CLOCK_TEXT];
    int r = maker == OWN ? 0 : history_index_at(b->index, maker, &rev);

    if (r < 0)
        return r;
    clock_format(clock_from_seconds(rev.time), when);
    buf_clear(out);
    buf_addf(out, "%.12s %.10s ", oid_hex(&rev.oid, hex), when);
    return 0;
}

static int add_lines(struct sheet *s, const struct lines *l, const char *path)
{
    _cleanup_(buf_done) struct buf shown = {0}, label = {0};

    buf_add_escaped(&shown, path);
    for (size_t i = 0; i < l->n; i++) {
        int r = i && l->v[i].maker == l->v[i - 1].maker
                    ? 0
                    : make_label(s->blame, l->v[i].maker, &label);
        if (r < 0)
            return r;
        buf_add(s->out, label.data, label.len);
        buf_addf(s->out, "%s:%zu: ", buf_str(&shown), i + 1);
        buf_add(s->out, l->v[i].text, l->v[i].len);
        buf_addc(s->out, '\n');
        if (s->out->len > s->most)
            return -EFBIG;
    }
    s->size = s->out->len;
    return 0;
}

static int add_other(struct sheet *s, const char *path)
{
    _cleanup_(buf_done) struct buf line = {0};

    buf_addf(&line, "%-12s %-10s ", "N/A", "N/A");
    buf_add_escaped(&line, path);
    buf_addc(&line, '\n');
    s->size += line.len;
    if (s->out)
        buf_add(s->out, line.data, line.len);
    return s->size > s->most ? -EFBIG : 0;
}

/* What add_lines() would come to. */
static int add_size(struct sheet *s, const struct blob *blob, const char *path)
{
    _cleanup_(buf_done) struct buf shown = {0};
    const char *at = blob->data, *end = at + blob->size;
    size_t digits = 1, next = 10;

    buf_add_escaped(&shown, path);
    for (size_t n = 1; at < end; n++) {
        const char *newline = memchr(at, '\n', end - at);
        size_t len = newline ? newline - at : end - at;
        if (n == next) {
            digits++;
            next *= 10;
        }
        s->size += LABEL + shown.len + 1 + digits + 2 + len + 1;
        if (s->size > s->most)
            return -EFBIG;
        at += len + 1;
    }
    return 0;
}

/* Loads what has lines; NULL: it is no text. Of a file that is too large for a sheet, no more is
 * looked at than tells which. */
static int load_text(const struct sheet *s, const struct oid *oid, struct blob **ret)
{
    _cleanup_(blob_unrefp) struct blob *blob = NULL;
    char head[BINARY_LOOK];
    uint64_t size;
    int r = blob_size(s->blame->repo, oid, &size);

    if (r == 0 && size > s->most) {
        ssize_t n = blob_read(s->blame->repo, oid, head, sizeof(head), 0);
        r = n < 0 ? n : memchr(head, 0, n) ? 0 : -EFBIG;
    } else if (r == 0) {
        r = blob_load(s->blame->repo, oid, &blob);
    }
    if (r == 0)
        *ret = blob && is_text(blob) ? TAKE(blob) : NULL;
    return r == -ENOENT ? -EIO : r;
}

static int add_file(const struct change *c, void *arg)
{
    struct sheet *s = arg;
    _cleanup_(lines_done) struct lines l = {
        .blame = s->blame, .most = s->most, .version_oid = c->new_oid};
    _cleanup_free_ char *path = xasprintf("%s%s%s", s->path, *s->path ? "/" : "", c->path);

    if (c->new_kind != ENTRY_FILE && c->new_kind != ENTRY_EXEC)
        return add_other(s, c->path);
    int r = load_text(s, &c->new_oid, &l.blob);
    if (r < 0)
        return r;
    if (!l.blob)
        return add_other(s, c->path);
    if (!s->out)
        return add_size(s, l.blob, c->path);
    r = lines_split(&l);
    if (r == 0)
        r = find_makers(&l, path);
    return r < 0 ? r : add_lines(s, &l, c->path);
}

static int fill(struct sheet *s)
{
    static const struct oid nothing;
    const struct blame *b = s->blame;
    struct revision_brief brief;
    enum entry_kind kind;
    struct oid tree;
    int r = revision_brief(b->repo, &b->revision, &brief);

    if (r == 0)
        r = tree_walk_path(b->repo, &brief.tree, s->path, &kind, &tree);
    if (r == 0 && kind != ENTRY_DIR)
        r = -ENOENT;
    return r < 0 ? r : diff_changes(b->repo, &nothing, &tree, add_file, s);
}

int blame_directory(const struct blame *b, const char *path, size_t most, struct buf *out)
{
    struct sheet s = {b, path, most, out, out->len};

    return fill(&s);
}

int blame_size(const struct blame *b, const char *path, size_t most, size_t *ret)
{
    struct sheet s = {b, path, most, NULL, 0};
    int r = fill(&s);

    if (r == 0)
        *ret = s.size;
    return r;
}
