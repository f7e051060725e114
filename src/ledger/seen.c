#include "ledger/seen.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/io.h"
#include "base/log.h"
#include "repo/history.h"
#include "repo/refs.h"
#include "repo/revision.h"

#define FILE_MOST  65536
#define INDEX_WAIT (100 * NS_PER_MS)

void seen_init(struct seen *s, struct repo *repo, const char *host)
{
    *s = (struct seen){.repo = repo, .ref = xasprintf("refs/onward/seen/%s", host)};
    pthread_mutex_init(&s->lock, NULL);
}

static void file_done(struct seen_file *f)
{
    free(f->branch);
    free(f->repository);
    *f = (struct seen_file){0};
}

void seen_done(struct seen *s)
{
    file_done(&s->file);
    free(s->ref);
    free(s->path);
    pthread_mutex_destroy(&s->lock);
}

/* ---- the file -----------------------------------------------------------------------------------
 */

static void take_line(const char *line, struct seen_file *f)
{
    const char *value = strchr(line, ' ');
    size_t len = value ? (size_t)(value++ - line) : 0;

    if (len == 4 && !strncmp(line, "mark", len))
        oid_parse(value, &f->mark);
    else if (len == 4 && !strncmp(line, "root", len))
        oid_parse(value, &f->root);
    else if (len == 6 && !strncmp(line, "branch", len) && !f->branch)
        f->branch = xstrdup(value);
    else if (len == 10 && !strncmp(line, "repository", len) && !f->repository)
        f->repository = xstrdup(value);
}

/* -ENOENT: it is not there. -EINVAL: it says nothing. */
static int file_read(int dir, const char *path, struct seen_file *ret)
{
    _cleanup_(buf_done) struct buf text = {0};
    struct seen_file f = {0};
    int r = io_read_file(dir, path, FILE_MOST, &text);

    if (r < 0)
        return r;
    char *rest = text.data;
    for (char *line; (line = strsep(&rest, "\n"));)
        take_line(line, &f);
    if (oid_is_zero(&f.mark)) {
        file_done(&f);
        return -EINVAL;
    }
    *ret = f;
    return 0;
}

static int take_oldest(const struct oid *rev, const struct oid *tree, int64_t time, void *root)
{
    *(struct oid *)root = *rev;
    return 0;
}

static struct oid walk_to_root(struct repo *repo, const struct oid *rev)
{
    struct oid root = {0};

    return history_first_parents(repo, rev, take_oldest, &root) == 0 ? root : (struct oid){0};
}

/* The first revision of the history that ends in `rev`, without walking there: who starts a backend
 * waits for this. Zero: it is not known yet. */
static struct oid find_root(const struct seen *s, const struct oid *rev)
{
    struct history_revision on_line, first;

    if (!s->history)
        return walk_to_root(s->repo, rev);
    history_index_wait(s->history, INDEX_WAIT);
    uint32_t epoch = history_index_epoch(s->history);
    bool found = history_index_find(s->history, rev, &on_line) == 0 &&
                 history_index_at(s->history, 0, &first) == 0 &&
                 history_index_epoch(s->history) == epoch;
    return found ? first.oid : (struct oid){0};
}

/* The file is to say that the mark is at `mark`. */
static int file_write(struct seen *s, const struct oid *mark, struct diag *reterr)
{
    _cleanup_(buf_done) struct buf text = {0};
    char hex[OID_HEX + 1];

    bool same = !s->adopted && oid_equal(&s->file.mark, mark);
    bool named = !oid_is_zero(&s->file.root);

    if (!s->path || (same && named))
        return 0;
    if (!named)
        s->file.root = find_root(s, mark);
    if (same && oid_is_zero(&s->file.root))
        return 0;
    buf_addf(&text, "mark %s\n", oid_hex(mark, hex));
    buf_addf(&text, "root %s\n", oid_hex(&s->file.root, hex));
    buf_addf(&text, "branch %s\nrepository %s\n", s->file.branch, s->file.repository);
    int r = io_replace_file(AT_FDCWD, s->path, text.data, text.len, 0600);
    if (r < 0)
        return diag_fail(reterr, r, "cannot write %s: %s", s->path, strerrordesc_np(-r));
    pthread_mutex_lock(&s->lock);
    s->file.mark = *mark;
    s->adopted = false;
    pthread_mutex_unlock(&s->lock);
    return 0;
}

/* ---- another path ------------------------------------------------------------------------------
 */

/* The newest file of the same branch whose history begins with a revision that is here as well. */
struct search {
    const struct seen *seen;
    const char *branch, *own; /* own: the name of our directory */
    struct seen_file best;
    int64_t best_time;
};

static void look_at(struct search *q, int base, const char *name)
{
    _cleanup_free_ char *path = xasprintf("%s/seen", name);
    struct seen_file f = {0};
    struct revision_brief root;
    struct stat st;

    if (name[0] == '.' || !strcmp(name, q->own) || fstatat(base, path, &st, 0) < 0 ||
        clock_ns(st.st_mtim) <= q->best_time || file_read(base, path, &f) < 0)
        return;
    if (f.branch && !strcmp(f.branch, q->branch) && !oid_is_zero(&f.root) &&
        revision_brief(q->seen->repo, &f.root, &root) == 0) {
        file_done(&q->best);
        q->best = f;
        q->best_time = clock_ns(st.st_mtim);
    } else {
        file_done(&f);
    }
}

static void search_files(struct search *q, int base)
{
    _cleanup_(closedirp) DIR *d = NULL;
    struct dirent *e;

    if (io_open_dir(base, ".", &d) < 0)
        return;
    while (io_next_entry(d, &e) > 0)
        look_at(q, base, e->d_name);
}

/* Lets the file of another path speak for this one, if there is one of the same history. */
static void adopt(struct seen *s, const struct ledger_mainline *mainline)
{
    _cleanup_free_ char *base = xstrdup(s->path);
    struct search q = {.seen = s, .branch = mainline->branch};

    *strrchr(base, '/') = 0; /* our state directory … */
    char *slash = strrchr(base, '/');
    if (!slash || oid_is_zero(&mainline->head))
        return;
    *slash = 0; /* …and the one that it is in */
    q.own = slash + 1;
    _cleanup_close_ int fd = open(base, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0)
        search_files(&q, fd);
    struct oid root = {0};
    if (!oid_is_zero(&q.best.mark))
        root = walk_to_root(s->repo, &mainline->head);
    if (!oid_is_zero(&root) && oid_equal(&root, &q.best.root)) {
        log_info("mark-taken-over", "repository=\"%s\"",
                 q.best.repository ? q.best.repository : "");
        s->file.mark = q.best.mark;
        s->file.root = root;
        s->adopted = true;
    }
    file_done(&q.best);
}

int seen_keep(struct seen *s, const char *path, const struct ledger_mainline *mainline,
              struct diag *reterr)
{
    struct seen_file f = {0};
    int r = file_read(AT_FDCWD, path, &f);

    if (r < 0 && r != -ENOENT && r != -EINVAL)
        return diag_fail(reterr, r, "cannot read %s: %s", path, strerrordesc_np(-r));
    if (r == -EINVAL)
        log_error("mark-damaged", "path=\"%s\"", path);
    s->path = xstrdup(path);
    s->history = mainline->history;
    s->file.mark = f.mark;
    s->file.root = f.root;
    s->file.branch = xstrdup(mainline->branch);
    s->file.repository = xstrdup(repo_common_dir(s->repo));
    file_done(&f);
    if (r < 0)
        adopt(s, mainline);
    return 0;
}

/* ---- the mark ----------------------------------------------------------------------------------
 */

/* Of two marks, the one that `head` must hold to hold both. */
static struct oid further(struct repo *repo, const struct oid *ref, const struct oid *file,
                          const struct oid *head)
{
    int r = history_is_ancestor(repo, ref, file);

    if (r != 0) /* the file is further on, or names what this repository does not have */
        return *file;
    if (history_is_ancestor(repo, file, ref) == 1)
        return *ref;
    bool held = !oid_is_zero(head) && history_is_ancestor(repo, file, head) == 1;
    return held ? *ref : *file;
}

int seen_get(struct seen *s, const struct oid *head, struct oid *ret)
{
    struct oid ref = {0};
    int r = ref_read(s->repo, s->ref, &ref);

    if (r < 0 && r != -ENOENT)
        return r;
    pthread_mutex_lock(&s->lock);
    struct oid file = s->file.mark;
    pthread_mutex_unlock(&s->lock);
    if (oid_is_zero(&ref) && oid_is_zero(&file))
        return -ENOENT;
    if (oid_is_zero(&ref) || oid_is_zero(&file) || oid_equal(&ref, &file))
        *ret = oid_is_zero(&ref) ? file : ref;
    else
        *ret = further(s->repo, &ref, &file, head);
    return 0;
}

static int move_ref(struct seen *s, const struct oid *rev, const char *why, struct diag *reterr)
{
    struct oid at = {0};
    int r = ref_read(s->repo, s->ref, &at);

    if (r < 0 && r != -ENOENT)
        return diag_fail(reterr, r, "cannot read %s", s->ref);
    return oid_equal(&at, rev) ? 0 : ref_update(s->repo, s->ref, &at, rev, why, reterr);
}

int seen_move(struct seen *s, const struct oid *rev, struct diag *reterr)
{
    struct oid mark = {0};
    int r = seen_get(s, rev, &mark);

    if (r < 0 && r != -ENOENT)
        return diag_fail(reterr, r, "cannot read %s", s->ref);
    if (!oid_is_zero(&mark) && !oid_equal(&mark, rev)) {
        r = history_is_ancestor(s->repo, &mark, rev);
        if (r < 0)
            return diag_fail(reterr, r, "cannot compare with %s", s->ref);
        if (r == 0)
            return diag_fail(reterr, -ESTALE, "not a descendant of %s", s->ref);
    }
    r = move_ref(s, rev, "onwardfs: seen", reterr);
    return r < 0 ? r : file_write(s, rev, reterr);
}

int seen_accept(struct seen *s, const struct oid *rev, struct diag *reterr)
{
    int r = file_write(s, rev, reterr);

    return r < 0 ? r : move_ref(s, rev, "onwardfs: accepted", reterr);
}
