#include "stage/commit.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/io.h"
#include "base/log.h"
#include "base/metric.h"
#include "check/check.h"
#include "repo/history.h"
#include "repo/merge.h"
#include "repo/revision.h"
#include "stage/author.h"
#include "stage/outcome.h"
#include "stage/review.h"
#include "stage/snapshot.h"
#include "stage/trailer.h"

#define TRIES_MOST 64 /* lost races, or changes while checks ran, before the commit gives up */

/* One commit under way. */
struct commit {
    struct workspace *ws;
    const struct caller *who;
    char *message;
    struct buf said;       /* what the file `message` had */
    struct oid tree;       /* of the workspace */
    struct kept_dirs keep; /* its empty directories */
    struct oid head, head_tree, merged, revision;
    int needed; /* approvals that head asks for; if any, this makes a proposal */
    struct check_input
        unchecked;       /* what a command has to look at, which cannot be waited for yet */
    struct buf *reasons; /* what goes into `outcome` when it fails */
};

static const struct staging_config *config_of(const struct commit *c)
{
    return c->ws->env->config;
}

/* Adds one line to the reasons; returns `err`. */
static int refuse(struct commit *c, int err, const char *why)
{
    buf_addf(c->reasons, "%s\n", why);
    return err;
}

static int refuse_diag(struct commit *c, int err, const struct diag *why)
{
    return refuse(c, err, diag_text(why, err));
}

/* The message */

/* Without blank lines and spaces at its end, with one newline. NULL: nothing is left. */
static char *tidy(const char *text, size_t len)
{
    while (len && strchr(" \t\r\n", text[len - 1]))
        len--;
    while (len && strchr("\r\n", *text))
        text++, len--;
    return len ? xasprintf("%.*s\n", (int)len, text) : NULL;
}

static int take_message(struct commit *c, const char *line)
{
    struct buf *text = &c->said;

    if (strcmp(line, "-")) {
        c->message = tidy(line, strlen(line));
    } else {
        int r = io_read_file(c->ws->dir, "message", MESSAGE_MOST, text);
        if (r < 0 && r != -ENOENT)
            return refuse(c, r, "the message cannot be read");
        if (text->len && memchr(text->data, 0, text->len))
            return refuse(c, -EINVAL, "the message has NUL bytes");
        c->message = tidy(buf_str(text), text->len);
    }
    if (!c->message)
        return refuse(c, -EINVAL, "the message is empty");
    char *said = c->message;
    c->message = trailer_set(said, TRAILER_WORKSPACE, c->ws->name);
    free(said);
    return 0;
}

/* Checks and merge */

static int run_checks(struct commit *c, const struct check_input *in, unsigned flags)
{
    _cleanup_(findings_done) struct findings findings = {0};
    _cleanup_(diag_done) struct diag why = {0};
    int r = checks_run(c->ws->env->checks, in, flags, &findings, &why);

    if (r == -EINPROGRESS)
        return r;
    if (r < 0)
        return refuse_diag(c, r, &why);
    if (!findings.n)
        return 0;
    findings_render(&findings, c->reasons);
    return -EINVAL;
}

/* While the workspace is frozen. -EINPROGRESS: `unchecked` must be checked first, without that. */
static int check_frozen(struct commit *c, const struct oid *base, const struct oid *tree)
{
    c->unchecked = (struct check_input){*base, *tree};
    return run_checks(c, &c->unchecked, CHECK_NO_WAIT);
}

static int merge(struct commit *c)
{
    _cleanup_(diag_done) struct diag why = {0};
    struct conflicts conflicts = {0};
    int r = merge_trees(config_of(c)->repo, &c->ws->base_tree, &c->tree, &c->head_tree, &c->merged,
                        &conflicts, &why);

    if (r == 1) {
        vec_foreach (x, &conflicts)
            outcome_add_conflict(c->reasons, "conflict", x);
        r = -EBUSY;
    } else if (r < 0) {
        refuse_diag(c, r, &why);
    }
    conflicts_done(&conflicts);
    return r;
}

static int admit(struct commit *c)
{
    _cleanup_(diag_done) struct diag why = {0};
    const struct staging_config *config = config_of(c);
    int r = config->admit ? config->admit(&c->head, config->admit_arg, &why) : 0;

    return r < 0 ? refuse_diag(c, r, &why) : 0;
}

/* What the mainline would be if the commit went through now: `merged`, on top of `head`. */
static int merge_with_head(struct commit *c)
{
    struct revision_brief brief = {0};
    int r = mainline_head(config_of(c)->mainline, &c->head);

    if (r == -ENOENT)
        c->head = (struct oid){0};
    else if (r == 0)
        r = revision_brief(config_of(c)->repo, &c->head, &brief);
    if (r < 0 && r != -ENOENT)
        return refuse(c, r, "the mainline cannot be read");
    if (oid_is_zero(&c->head) && !oid_is_zero(&c->ws->state.base))
        return refuse(c, -EBUSY, "the mainline has no revision any more");
    c->head_tree = brief.tree;
    r = admit(c);
    if (r < 0)
        return r;
    c->needed = check_approvals(config_of(c)->repo, &c->head_tree);
    if (oid_equal(&c->head, &c->ws->state.base)) {
        c->merged = c->tree;
        return 0;
    }
    r = merge(c);
    if (r < 0)
        return r;
    if (oid_equal(&c->merged, &c->head_tree))
        return refuse(c, -ENODATA, "the mainline has these changes already");
    /* The very tree that has passed, with more changes than it has now. */
    if (oid_equal(&c->merged, &c->tree))
        return 0;
    return check_frozen(c, &c->head_tree, &c->merged);
}

/* Moving the mainline */

static int write_revision(struct commit *c)
{
    _cleanup_(diag_done) struct diag why = {0};
    struct signature author, committer;

    author_of(config_of(c), c->who->uid, &author);
    author_host(config_of(c), &committer);
    int r = revision_write(config_of(c)->repo, &c->merged, &c->head, !oid_is_zero(&c->head),
                           &author, &committer, c->message, &c->revision, &why);
    author_done(&author);
    author_done(&committer);
    return r < 0 ? refuse_diag(c, r, &why) : 0;
}

static int propose(struct commit *c)
{
    _cleanup_(diag_done) struct diag why = {0};
    struct signature author;

    author_of(config_of(c), c->who->uid, &author);
    const struct review_change change = {&c->tree, c->message, &author, c->needed};
    int r = review_propose(c->ws, &change, c->reasons, &why);
    author_done(&author);
    return r < 0 ? refuse_diag(c, r, &why) : 0;
}

/* 1 if the mainline contains the revision, 0 if not. */
static int has_landed(const struct workspace *ws, const struct oid *revision)
{
    struct oid head;
    int r = mainline_head(ws->env->config->mainline, &head);

    if (r == -ENOENT)
        return 0;
    return r < 0 ? r : history_is_ancestor(ws->env->config->repo, revision, &head);
}

/* Moves the mainline to the written revision; -EAGAIN: it was elsewhere. */
static int advance(struct commit *c)
{
    _cleanup_(diag_done) struct diag why = {0};
    _cleanup_free_ char *log =
        xasprintf("commit: %.*s", (int)strcspn(c->message, "\n"), c->message);
    int r = mainline_advance(config_of(c)->mainline, &c->head, &c->revision, log, &why);

    if (r == 0)
        return 0;
    /* The ref may have moved although something failed afterwards: then it counts. */
    if (r != -EAGAIN && mainline_refresh(config_of(c)->mainline, NULL) == 0 &&
        has_landed(c->ws, &c->revision) == 1)
        return 0;
    return r == -EAGAIN ? r : refuse_diag(c, r, &why);
}

/* One attempt at (4) to (6). */
static int try_once(struct commit *c)
{
    _cleanup_(diag_done) struct diag why = {0};
    int r = merge_with_head(c);

    if (r == 0 && c->needed > 0)
        return propose(c);
    if (r == 0)
        r = write_revision(c);
    if (r < 0)
        return r;
    r = workspace_prepare_move(c->ws, &c->revision, &c->keep, &why);
    if (r < 0)
        return refuse_diag(c, r, &why);
    return advance(c);
}

static int land(struct commit *c)
{
    int r = -EAGAIN;

    for (int i = 0; i < TRIES_MOST && r == -EAGAIN; i++) {
        r = try_once(c);
        if (r == -EAGAIN && mainline_refresh(config_of(c)->mainline, NULL) < 0)
            break;
    }
    if (r == -EAGAIN)
        refuse(c, r, "the mainline moves too fast: every attempt lost a race");
    return r == -EAGAIN ? -EBUSY : r;
}

/* The workspace is frozen. -EINPROGRESS: nothing has happened; `unchecked` must be checked first.
 */
static int commit_frozen(struct commit *c)
{
    _cleanup_(diag_done) struct diag why = {0};

    if (c->ws->ended)
        return refuse(c, -ESTALE, "the workspace has ended");
    int r = snapshot_write(c->ws, &c->tree, &c->keep, &why);
    if (r < 0)
        return refuse_diag(c, r, &why);
    if (oid_equal(&c->tree, &c->ws->base_tree))
        return refuse(c, -ENODATA, "nothing changed");
    r = check_frozen(c, &c->ws->base_tree, &c->tree);
    if (r == 0)
        r = land(c);
    if (r == 0 && !c->needed)
        workspace_finish_move(c->ws);
    else if (workspace_cancel_move(c->ws) < 0)
        log_error("workspace-not-saved", "workspace=%s", c->ws->name);
    return r;
}

/* Commands look at their tree through the mount, and may take a minute: nothing is frozen
 * meanwhile. What is committed is the workspace at an instant after they have passed; if it, or the
 * mainline, is another by then, they run again. */
static int commit_checked(struct commit *c)
{
    for (int i = 0; i < TRIES_MOST; i++) {
        kept_dirs_done(&c->keep);
        workspace_lock_frozen(c->ws);
        int r = commit_frozen(c);
        workspace_unlock_frozen(c->ws);
        if (r != -EINPROGRESS)
            return r;
        r = run_checks(c, &c->unchecked, 0);
        if (r < 0)
            return r;
    }
    return refuse(c, -EBUSY,
                  "the workspace or the mainline changed whenever the checks had passed");
}

/* What became of it */

static const char *outcome_label(int r)
{
    switch (r) {
    case 0:
        return "committed";
    case -EINVAL:
        return "refused";
    case -EBUSY:
        return "conflict";
    case -ENODATA:
        return "unchanged";
    default:
        return "failed";
    }
}

/* `revision` NULL: it has become a proposal, and `reasons` say which. */
static void record(struct workspace *ws, int r, const struct oid *revision,
                   const struct buf *reasons)
{
    _cleanup_(buf_done) struct buf text = {0};

    if (ws->ended)
        return;
    metric_add(METRIC_COMMITS, r == 0 && !revision ? "proposed" : outcome_label(r), 1);
    if (r == 0 && revision)
        outcome_add_revision(&text, revision);
    outcome_save(ws, text.len ? &text : reasons);
}

/* It has been used; not if it is another by now, for the next commit. */
static void empty_message(const struct commit *c)
{
    _cleanup_(buf_done) struct buf now = {0};
    const struct workspace *ws = c->ws;
    int r = io_read_file(ws->dir, "message", MESSAGE_MOST, &now);

    if (r == 0 && now.len == c->said.len && !memcmp(now.data, c->said.data, now.len))
        r = unlinkat(ws->dir, "message", 0) < 0 ? -errno : 0;
    if (r < 0 && !ws->ended)
        log_error("message-not-emptied", "workspace=%s reason=\"%s\"", ws->name, strerror(-r));
}

static int commit(struct workspace *ws, const struct caller *who, const char *line, bool by_itself)
{
    _cleanup_(buf_done) struct buf reasons = {0};
    struct commit c = {.ws = ws, .who = who, .reasons = &reasons};
    char hex[OID_HEX + 1];

    int r = workspace_may_change(ws, who);
    if (r == 0)
        r = workspace_lock_committing(ws);
    if (r < 0)
        return r;
    r = take_message(&c, line);
    if (r == 0)
        r = commit_checked(&c);
    bool committed = r == 0 && !c.needed;
    if (r != -ENODATA || !by_itself)
        record(ws, r, c.needed ? NULL : &c.revision, &reasons);
    if (committed)
        review_overtaken(ws, &c.revision);
    if (committed && !strcmp(line, "-"))
        empty_message(&c);
    workspace_unlock_committing(ws);
    if (committed)
        log_info("committed", "workspace=%s revision=%s uid=%u", ws->name,
                 oid_hex(&c.revision, hex), who->uid);
    kept_dirs_done(&c.keep);
    free(c.message);
    buf_done(&c.said);
    return r;
}

int commit_workspace(struct workspace *ws, const struct caller *who, const char *line)
{
    return commit(ws, who, line, false);
}

int commit_by_itself(struct workspace *ws)
{
    const struct caller owner = {ws->state.uid, ws->state.gid};
    char after[CLOCK_TEXT];
    _cleanup_free_ char *line = xasprintf("Autocommit of workspace %s after %s without writes",
                                          ws->name, clock_format_duration(ws->autocommit, after));

    return commit(ws, &owner, line, true);
}

/* The mainline has the announced revision, or it has it not. */
static int resolve(struct workspace *ws)
{
    struct oid revision = ws->state.next_base;
    char hex[OID_HEX + 1];
    int r = has_landed(ws, &revision);

    if (r == 1) {
        log_info("commit-finished", "workspace=%s revision=%s", ws->name, oid_hex(&revision, hex));
        workspace_finish_move(ws);
        record(ws, 0, &revision, NULL);
        return 0;
    }
    /* -ENOENT: the revision itself is gone, so it cannot have been on the mainline. */
    if (r < 0 && r != -ENOENT)
        return r;
    log_info("commit-undone", "workspace=%s revision=%s", ws->name, oid_hex(&revision, hex));
    return workspace_cancel_move(ws);
}

int commit_recover(struct workspace *ws, struct diag *reterr)
{
    int r = oid_is_zero(&ws->state.next_base) ? 0 : resolve(ws);

    if (r < 0)
        return diag_fail(reterr, r, "cannot resolve an interrupted commit: %s", strerror(-r));
    workspace_tidy(ws);
    return 0;
}

int commit_check(struct workspace *ws, struct findings *ret, struct diag *reterr)
{
    struct check_input in;

    workspace_lock_frozen(ws);
    int r = ws->ended ? -ESTALE : snapshot_write(ws, &in.tree, NULL, reterr);
    in.base = ws->base_tree;
    workspace_unlock_frozen(ws);
    return r < 0 ? r : checks_run(ws->env->checks, &in, 0, ret, reterr);
}
