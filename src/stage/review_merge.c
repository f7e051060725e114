#include "stage/review_merge.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "base/io.h"
#include "base/log.h"
#include "base/metric.h"
#include "check/check.h"
#include "repo/history.h"
#include "repo/merge.h"
#include "stage/author.h"
#include "stage/outcome.h"
#include "stage/review.h"
#include "stage/snapshot.h"
#include "stage/trailer.h"

#define TRIES_MOST 64

/* One merge under way. */
struct merging {
    struct proposals *s;
    struct proposal *p;
    struct workspace *ws;  /* that it came from, `committing` held; NULL: it is not here */
    bool along;            /* it shows what was proposed, and so moves with the mainline */
    struct kept_dirs keep; /* its empty directories */
    struct oid head, head_tree, merged, revision;
    struct check_input unchecked; /* as in a commit */
    struct buf *reasons;
};

static int refuse(struct merging *m, int err, const char *why)
{
    buf_addf(m->reasons, "%s\n", why);
    return err;
}

static int refuse_diag(struct merging *m, int err, const struct diag *why)
{
    return refuse(m, err, diag_text(why, err));
}

/* What the mainline would be */

static int take_head(struct merging *m)
{
    _cleanup_(diag_done) struct diag why = {0};
    const struct staging_config *config = &m->s->config;
    struct revision_brief brief;
    int r = mainline_head(config->mainline, &m->head);

    if (r == 0)
        r = revision_brief(config->repo, &m->head, &brief);
    if (r < 0)
        return refuse(m, r == -ENOENT ? -EBUSY : r, "the mainline cannot be read");
    m->head_tree = brief.tree;
    r = config->admit ? config->admit(&m->head, config->admit_arg, &why) : 0;
    return r < 0 ? refuse_diag(m, r, &why) : 0;
}

static int merge_trees_of(struct merging *m)
{
    _cleanup_(diag_done) struct diag why = {0};
    struct conflicts conflicts = {0};
    int r = merge_trees(m->s->config.repo, &m->p->base_tree, &m->p->tree, &m->head_tree, &m->merged,
                        &conflicts, &why);

    if (r == 1) {
        vec_foreach (x, &conflicts)
            outcome_add_conflict(m->reasons, "conflict", x);
        r = -EBUSY;
    } else if (r < 0) {
        refuse_diag(m, r, &why);
    }
    conflicts_done(&conflicts);
    if (r == 0 && oid_equal(&m->merged, &m->head_tree))
        return refuse(m, -ENODATA, "the mainline has these changes already");
    return r;
}

static int check(struct merging *m, unsigned flags)
{
    _cleanup_(findings_done) struct findings findings = {0};
    _cleanup_(diag_done) struct diag why = {0};
    int r = checks_run(m->s->env->checks, &m->unchecked, flags, &findings, &why);

    if (r == -EINPROGRESS)
        return r;
    if (r < 0)
        return refuse_diag(m, r, &why);
    findings_render(&findings, m->reasons);
    return findings.n ? -EINVAL : 0;
}

static int prepare(struct merging *m, unsigned flags)
{
    int r = take_head(m);

    if (r == 0)
        r = merge_trees_of(m);
    if (r < 0)
        return r;
    m->unchecked = (struct check_input){m->head_tree, m->merged};
    return check(m, flags);
}

/* Moving the mainline */

static int write_revision(struct merging *m)
{
    _cleanup_(diag_done) struct diag why = {0};
    _cleanup_free_ char *message = proposal_revision_text(m->p);
    struct signature host;

    author_host(&m->s->config, &host);
    int r = revision_write(m->s->config.repo, &m->merged, &m->head, 1, &m->p->author, &host,
                           message, &m->revision, &why);
    author_done(&host);
    return r < 0 ? refuse_diag(m, r, &why) : 0;
}

/* Takes the workspace along if it is as it was when it was proposed. Frozen. */
static int prepare_workspace(struct merging *m)
{
    _cleanup_(diag_done) struct diag why = {0};
    struct oid tree;

    kept_dirs_done(&m->keep);
    m->along = false;
    if (!m->ws || m->ws->ended || !oid_equal(&m->ws->state.base, &m->p->base))
        return 0;
    int r = snapshot_write(m->ws, &tree, &m->keep, &why);
    if (r == 0 && !oid_equal(&tree, &m->p->tree))
        return 0;
    if (r == 0)
        r = workspace_prepare_move(m->ws, &m->revision, &m->keep, &why);
    m->along = r == 0;
    return r < 0 ? refuse_diag(m, r, &why) : 0;
}

static void settle_workspace(struct merging *m, int r)
{
    if (!m->along)
        return;
    if (r == 0)
        workspace_finish_move(m->ws);
    else if (workspace_cancel_move(m->ws) < 0)
        log_error("workspace-not-saved", "workspace=%s", m->ws->name);
}

/* P2: the closing record is there before the mainline moves, and goes when it has not. */
static int advance(struct merging *m)
{
    _cleanup_(diag_done) struct diag why = {0}, later = {0};
    _cleanup_free_ char *log = xasprintf("proposal %" PRIu64 ": %.*s", m->p->number,
                                         (int)strcspn(m->p->message, "\n"), m->p->message);
    int r = proposals_close(m->s, &m->p, &m->revision, &why);

    if (r < 0)
        return r == -EAGAIN ? r : refuse_diag(m, r, &why);
    r = mainline_advance(m->s->config.mainline, &m->head, &m->revision, log, &why);
    if (r < 0)
        mainline_refresh(m->s->config.mainline, NULL);
    /* Whether it has moved is asked of the mainline in either case. */
    int s = proposals_resolve(m->s, &m->p, &later);
    if (s < 0)
        log_warn("proposal-not-resolved", "reason=\"%s\"", diag_text(&later, s));
    if (s == 0 && !m->p)
        r = 0;
    return r == 0 || r == -EAGAIN ? r : refuse_diag(m, r, &why);
}

/* 1: there is nothing to do (any more). */
static int try_once(struct merging *m, uint64_t number)
{
    _cleanup_(diag_done) struct diag why = {0};

    proposal_unref(TAKE(m->p));
    int r = proposals_fresh(m->s, number, &m->p, &why);
    if (r == -ENOENT)
        return 1;
    if (r < 0)
        return refuse_diag(m, r, &why);
    if ((int)m->p->approvals.n < review_needed(m->s))
        return 1;
    r = prepare(m, CHECK_NO_WAIT);
    if (r == 0)
        r = write_revision(m);
    if (r == 0)
        r = prepare_workspace(m);
    if (r < 0)
        return r;
    r = advance(m);
    settle_workspace(m, r);
    return r;
}

static int merge_locked(struct merging *m, uint64_t number)
{
    int r = -EAGAIN;

    for (int i = 0; i < TRIES_MOST && r == -EAGAIN; i++) {
        r = try_once(m, number);
        if (r == -EAGAIN)
            mainline_refresh(m->s->config.mainline, NULL);
    }
    if (r == -EAGAIN)
        return refuse(m, -EBUSY, "the mainline moves too fast: every attempt lost a race");
    return r;
}

/* As in a commit, nothing is locked while commands run. */
static int merge_checked(struct merging *m, uint64_t number)
{
    for (int i = 0; i < TRIES_MOST; i++) {
        if (m->ws)
            workspace_lock_frozen(m->ws);
        pthread_mutex_lock(&m->s->writing);
        int r = merge_locked(m, number);
        pthread_mutex_unlock(&m->s->writing);
        if (m->ws)
            workspace_unlock_frozen(m->ws);
        if (r != -EINPROGRESS)
            return r;
        r = check(m, 0);
        if (r < 0)
            return r;
    }
    return refuse(m, -EBUSY, "the mainline changed whenever the checks had passed");
}

/* The workspace */

/* The workspace that it came from, `committing` held. One that commits right now is as good as
 * changed: an approver does not wait for somebody else's checks. */
static struct workspace *take_workspace(struct proposals *s, const struct proposal *p)
{
    struct workspace *ws = NULL;
    _cleanup_free_ char *id = NULL;

    if (!p->workspace || s->env->find(s->env->arg, p->workspace, &ws) < 0)
        return NULL;
    if (review_id(ws, &id) == 0 && !strcmp(id, p->id) &&
        pthread_mutex_trylock(&ws->committing) == 0)
        return ws;
    workspace_unref(ws);
    return NULL;
}

static size_t without_blanks(const char *text, size_t len)
{
    while (len && strchr(" \t\r\n", text[len - 1]))
        len--;
    return len;
}

/* The message that was being prepared has been used, if it still is the one. */
static void empty_message(const struct workspace *ws, const char *message)
{
    _cleanup_(buf_done) struct buf text = {0};

    if (io_read_file(ws->dir, "message", PROPOSAL_MESSAGE_MOST, &text) < 0)
        return;
    const char *begin = buf_str(&text) + strspn(buf_str(&text), "\r\n");
    _cleanup_free_ char *tidy =
        xasprintf("%.*s\n", (int)without_blanks(begin, strlen(begin)), begin);
    _cleanup_free_ char *whole = trailer_set(tidy, TRAILER_WORKSPACE, ws->name);
    size_t len = without_blanks(message, strlen(message));
    if (without_blanks(whole, strlen(whole)) == len && !memcmp(whole, message, len))
        unlinkat(ws->dir, "message", 0);
}

static void tell_workspace(const struct merging *m, const char *message)
{
    _cleanup_(buf_done) struct buf text = {0};

    if (!m->along || m->ws->ended)
        return;
    outcome_add_revision(&text, &m->revision);
    outcome_save(m->ws, &text);
    empty_message(m->ws, message);
}

int review_merge(struct proposals *s, uint64_t number)
{
    _cleanup_(proposal_unrefp) struct proposal *first = NULL;
    _cleanup_(buf_done) struct buf reasons = {0};
    struct merging m = {.s = s, .reasons = &reasons};
    char hex[OID_HEX + 1];

    if (proposals_get(s, number, &first) < 0)
        return 0;
    if ((int)first->approvals.n < review_needed(s))
        return 0;
    m.ws = take_workspace(s, first);
    int r = merge_checked(&m, number);
    if (r == 0)
        tell_workspace(&m, first->message);
    if (m.ws)
        pthread_mutex_unlock(&m.ws->committing);
    proposals_set_reason(s, first, r < 0 ? buf_str(&reasons) : NULL);
    if (r == 0)
        log_info("merged", "proposal=%" PRIu64 " revision=%s", number, oid_hex(&m.revision, hex));
    if (r <= 0)
        metric_add(METRIC_COMMITS, r == 0 ? "merged" : "not-merged", 1);
    proposals_changed(s);
    kept_dirs_done(&m.keep);
    proposal_unref(m.p);
    workspace_unref(m.ws);
    return r < 0 ? r : 0;
}

int review_obstacles(struct proposals *s, struct proposal *p, struct buf *out)
{
    struct merging m = {.s = s, .p = p, .reasons = out};
    int r = prepare(&m, 0);

    return r == -EINVAL || r == -EBUSY || r == -ENODATA ? 0 : r;
}
