#include "stage/review.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/io.h"
#include "base/log.h"
#include "check/check.h"
#include "stage/author.h"
#include "stage/review_merge.h"

#define ID_FILE    "review-id"
#define ID_BYTES   16
#define TRIES_MOST 64

/* Proposing */

int review_id(const struct workspace *ws, char **ret)
{
    struct buf text = {0};
    int r = io_read_file(ws->dir, ID_FILE, 4 * ID_BYTES, &text);

    if (r == 0 && (text.len != 2 * ID_BYTES || strspn(text.data, "0123456789abcdef") != text.len))
        r = -EIO;
    if (r == 0)
        *ret = buf_take(&text);
    buf_done(&text);
    return r;
}

static int make_id(const struct workspace *ws, char **ret)
{
    unsigned char bytes[ID_BYTES];
    struct buf text = {0};

    if (getrandom(bytes, sizeof(bytes), 0) != sizeof(bytes))
        return -EIO;
    for (size_t i = 0; i < sizeof(bytes); i++)
        buf_addf(&text, "%02x", bytes[i]);
    int r = io_replace_file(ws->dir, ID_FILE, text.data, text.len, 0600);
    if (r == 0)
        *ret = buf_take(&text);
    buf_done(&text);
    return r;
}

static void describe(const struct proposals *s, const struct proposal *p, int needed,
                     struct buf *out)
{
    int missing = needed - (int)p->approvals.n;

    if (missing > 0)
        buf_addf(out, "proposal %" PRIu64 ": needs %d approval%s\n", p->number, missing,
                 missing == 1 ? "" : "s");
    else
        buf_addf(out, "proposal %" PRIu64 ": is approved; `approve` by any who did merges it\n",
                 p->number);
    if (!s->config.shared)
        buf_adds(out, "only the user who mounted sees this mount, so nobody else can approve in it "
                      "(mount with -o allow_other)\n");
}

int review_put(struct proposals *s, const struct proposal *what, int needed, uint64_t *ret,
               struct buf *outcome, struct diag *reterr)
{
    _cleanup_(proposal_unrefp) struct proposal *p = NULL;

    pthread_mutex_lock(&s->writing);
    int r = proposals_put(s, what, &p, reterr);
    pthread_mutex_unlock(&s->writing);
    if (r < 0)
        return r == -EAGAIN ? -EBUSY : r;
    proposals_changed(s);
    log_info("proposed", "proposal=%" PRIu64 " workspace=%s", p->number,
             what->workspace ? what->workspace : "");
    describe(s, p, needed, outcome);
    *ret = p->number;
    return 0;
}

int review_propose(struct workspace *ws, const struct review_change *change, struct buf *outcome,
                   struct diag *reterr)
{
    _cleanup_free_ char *id = NULL, *owner = NULL;
    struct signature who;
    uint64_t number;
    int r = review_id(ws, &id);

    if (r == -ENOENT)
        r = make_id(ws, &id);
    if (r < 0)
        return diag_fail(reterr, r, "the workspace's " ID_FILE ": %s", strerror(-r));
    author_of(ws->env->config, ws->state.uid, &who);
    owner = signature_text(&who);
    author_done(&who);
    const struct proposal what = {
        .tree = *change->tree,
        .base = ws->state.base,
        .base_tree = ws->base_tree,
        .author = *change->author,
        .message = (char *)change->message,
        .workspace = ws->name,
        .owner = owner,
        .id = id,
    };
    return review_put(ws->env->proposals, &what, change->needed, &number, outcome, reterr);
}

bool review_has(struct workspace *ws, const struct oid *tree)
{
    _cleanup_free_ char *id = NULL;

    if (review_id(ws, &id) < 0)
        return false;
    const struct proposal what = {
        .tree = *tree, .base = ws->state.base, .base_tree = ws->base_tree, .id = id};
    return proposals_has(ws->env->proposals, &what);
}

static int end_overtaken(struct proposals *s, const char *id, const struct oid *revision,
                         struct diag *reterr)
{
    struct proposal_list list = {0};
    int r = 0;

    proposals_list(s, &list);
    vec_foreach (p, &list) {
        if (r < 0 || !(*p)->id || strcmp((*p)->id, id))
            continue;
        r = proposals_close(s, p, revision, reterr);
        if (r == 0)
            r = proposals_resolve(s, p, reterr);
    }
    proposal_list_done(&list);
    return r;
}

void review_overtaken(struct workspace *ws, const struct oid *revision)
{
    _cleanup_(diag_done) struct diag why = {0};
    _cleanup_free_ char *id = NULL;
    struct proposals *s = ws->env->proposals;

    if (review_id(ws, &id) < 0)
        return;
    pthread_mutex_lock(&s->writing);
    int r = end_overtaken(s, id, revision, &why);
    pthread_mutex_unlock(&s->writing);
    if (r < 0)
        log_warn("proposal-not-ended", "workspace=%s reason=\"%s\"", ws->name, diag_text(&why, r));
    proposals_changed(s);
}

/* Approving */

int review_needed(struct proposals *s)
{
    struct revision_brief brief;
    struct oid head;
    int n = 0;

    if (mainline_head(s->config.mainline, &head) == 0 &&
        revision_brief(s->config.repo, &head, &brief) == 0)
        n = check_approvals(s->config.repo, &brief.tree);
    return n > 0 ? n : 1;
}

static int approve_once(struct proposals *s, struct proposal **p, const struct signature *me,
                        const char *line)
{
    _cleanup_(diag_done) struct diag why = {0};
    struct oid content;
    bool is_id = oid_parse(line, &content) == 0;

    if (is_id && !oid_equal(&content, &(*p)->content))
        return -ESTALE;
    if (proposal_is_of(*p, me))
        return -EACCES;
    if (proposal_approval_by(*p, me) || (*p)->approvals.n >= PROPOSAL_APPROVALS_MOST)
        return 0;
    int r = proposals_approve(s, p, me, is_id ? "" : line, &why);
    if (r < 0 && r != -EAGAIN)
        log_error("not-approved", "proposal=%" PRIu64 " reason=\"%s\"", (*p)->number,
                  diag_text(&why, r));
    if (r == 0)
        log_info("approved", "proposal=%" PRIu64 " by=\"%s\"", (*p)->number, me->email);
    return r;
}

static int approve(struct proposals *s, uint64_t number, const struct signature *me,
                   const char *line)
{
    int r = -EAGAIN;

    pthread_mutex_lock(&s->writing);
    for (int i = 0; i < TRIES_MOST && r == -EAGAIN; i++) {
        _cleanup_(proposal_unrefp) struct proposal *p = NULL;
        r = proposals_fresh(s, number, &p, NULL);
        if (r == 0)
            r = approve_once(s, &p, me, line);
        else if (r == -ENOENT)
            r = -ESTALE;
    }
    pthread_mutex_unlock(&s->writing);
    return r == -EAGAIN ? -EBUSY : r;
}

int review_approve(struct proposals *s, uint64_t number, const struct caller *who, const char *line)
{
    struct signature me;

    author_of(&s->config, who->uid, &me);
    int r = approve(s, number, &me, line);
    author_done(&me);
    if (r < 0)
        return r;
    proposals_changed(s);
    return review_merge(s, number);
}

/* Withdrawing */

static int withdraw_once(struct proposals *s, uint64_t number, const struct caller *who,
                         const struct signature *me, struct diag *reterr)
{
    _cleanup_(proposal_unrefp) struct proposal *p = NULL;
    int r = proposals_read(s, number, &p, reterr);

    if (r == 0 && p->state == PROPOSAL_MERGING)
        r = proposals_resolve(s, &p, reterr);
    if (r == -ENOENT || (r == 0 && !p))
        return -ESTALE;
    if (r < 0)
        return r;
    if (who->uid != 0 && who->uid != geteuid() && !proposal_is_of(p, me))
        return -EACCES;
    if (p->state == PROPOSAL_OPEN) /* else an attempt that failed has come that far */
        r = proposals_close(s, &p, NULL, reterr);
    return r < 0 ? r : proposals_resolve(s, &p, reterr);
}

int review_withdraw(struct proposals *s, uint64_t number, const struct caller *who)
{
    _cleanup_(diag_done) struct diag why = {0};
    struct signature me;
    int r = -EAGAIN;

    author_of(&s->config, who->uid, &me);
    pthread_mutex_lock(&s->writing);
    for (int i = 0; i < TRIES_MOST && r == -EAGAIN; i++)
        r = withdraw_once(s, number, who, &me, &why);
    pthread_mutex_unlock(&s->writing);
    if (r == 0)
        log_info("withdrawn", "proposal=%" PRIu64 " by=\"%s\"", number, me.email);
    else if (r != -EACCES && r != -ESTALE)
        log_error("not-withdrawn", "proposal=%" PRIu64 " reason=\"%s\"", number,
                  diag_text(&why, r));
    author_done(&me);
    proposals_changed(s);
    return r == -EAGAIN ? -EBUSY : r;
}
