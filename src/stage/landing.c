#include "stage/landing.h"

#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "repo/carry.h"
#include "repo/history.h"
#include "repo/merge.h"
#include "stage/author.h"
#include "stage/outcome.h"

#define TRIES_MOST  64     /* lost races, or changes while checks ran, before it gives up */
#define BEHIND_MOST 100000 /* first-parent steps that are counted */

int landing_refuse(struct landing *l, int err, const char *why)
{
    buf_addf(l->reasons, "%s\n", why);
    return err;
}

int landing_refuse_diag(struct landing *l, int err, const struct diag *why)
{
    return landing_refuse(l, err, diag_text(why, err));
}

/* With the system's words for it. */
static int landing_refuse_errno(struct landing *l, int err, const char *what)
{
    buf_addf(l->reasons, "%s: %s\n", what, strerrordesc_np(-err));
    return err;
}

/* Checks */

static int check(struct landing *l, const struct check_input *in, unsigned flags)
{
    _cleanup_(findings_done) struct findings findings = {0};
    _cleanup_(diag_done) struct diag why = {0};
    int r = checks_run(l->checks, in, flags, &findings, &why);

    if (r == -EINPROGRESS)
        return r;
    if (r < 0)
        return landing_refuse_diag(l, r, &why);
    findings_render(&findings, l->reasons);
    if (findings.n)
        return -EINVAL;
    l->passed = *in;
    return 0;
}

/* While something is held. -EINPROGRESS: `unchecked` must be checked first, without that. A tree
 * that has passed passes again: on head it has fewer changes than on its own base. */
static int check_held(struct landing *l, const struct oid *base, const struct oid *tree)
{
    if (oid_equal(tree, &l->passed.tree))
        return 0;
    l->unchecked = (struct check_input){*base, *tree};
    return check(l, &l->unchecked, CHECK_NO_WAIT);
}

int landing_check_change(struct landing *l)
{
    return check_held(l, &l->change.base_tree, &l->change.tree);
}

/* Head */

static int meet_head(struct landing *l)
{
    _cleanup_(diag_done) struct diag why = {0};
    const struct staging_config *config = l->config;
    struct revision_brief brief = {0};
    int r = mainline_head(config->mainline, &l->head);

    if (r == -ENOENT)
        l->head = (struct oid){0};
    else if (r == 0)
        r = revision_brief(config->repo, &l->head, &brief);
    if (r < 0 && !oid_is_zero(&l->head))
        return landing_refuse_errno(l, r == -ENOENT ? -EIO : r, "the mainline cannot be read");
    l->head_tree = brief.tree;
    r = config->admit ? config->admit(&l->head, config->admit_arg, &why) : 0;
    if (r < 0)
        return landing_refuse_diag(l, r, &why);
    l->needed = check_approvals(config->repo, &l->head_tree);
    return 0;
}

static int merge_trees_of(struct landing *l)
{
    _cleanup_(diag_done) struct diag why = {0};
    const struct landing_change *c = &l->change;
    const struct sink_place place = {l->config->repo, batch_sink(l->batch)};
    const struct merge_sides sides = {
        .base = c->base_tree, .ours = c->tree, .theirs = l->head_tree};
    struct conflicts conflicts = {0};
    int r = merge_trees(&place, &sides, &l->merged, &conflicts, &why);

    if (r == 0)
        r = batch_store(l->batch, &why);
    if (r == 1) {
        vec_foreach (x, &conflicts)
            outcome_add_conflict(l->reasons, "conflict", x);
        r = -EBUSY;
    } else if (r < 0) {
        landing_refuse_diag(l, r, &why);
    }
    conflicts_done(&conflicts);
    return r;
}

static int survives(struct landing *l)
{
    _cleanup_(diag_done) struct diag why = {0};
    const struct landing_change *c = &l->change;
    const struct staging_config *config = l->config;
    int r = config->survives(config->repo, &c->base_tree, &c->tree, &l->merged, &why);

    return r < 0 ? landing_refuse_diag(l, r, &why) : 0;
}

/* What the mainline would be if the change landed now: `merged`, on top of `head`. */
static int merge(struct landing *l)
{
    int r = 0;

    if (oid_is_zero(&l->head) && !oid_is_zero(&l->change.base))
        return landing_refuse(l, -EBUSY, "the mainline has no revision any more");
    if (oid_equal(&l->head, &l->change.base))
        l->merged = l->change.tree;
    else
        r = merge_trees_of(l);
    if (r == 0 && l->change.restores && l->config->survives)
        r = survives(l);
    if (r == 0 && oid_equal(&l->merged, &l->head_tree))
        return landing_refuse(l, -ENODATA, "the mainline has these changes already");
    return r;
}

/* Moving the mainline */

static int write_revision(struct landing *l)
{
    _cleanup_(diag_done) struct diag why = {0};
    const struct sink_place place = {l->config->repo, batch_sink(l->batch)};
    struct signature host;

    int r = l->change.moves_over ? carry_tree(&place, &l->head_tree, &l->merged, &why) : 0;
    if (r < 0)
        return landing_refuse_diag(l, r, &why);
    author_host(l->config, &host);
    const struct revision draft = {.tree = l->merged,
                                   .parents = &l->head,
                                   .nparents = !oid_is_zero(&l->head),
                                   .author = *l->change.author,
                                   .committer = host,
                                   .message = (char *)l->change.message};
    r = revision_write(l->batch, &draft, &l->revision, &why);
    author_done(&host);
    return r < 0 ? landing_refuse_diag(l, r, &why) : 0;
}

int landing_has_landed(const struct staging_config *config, const struct oid *revision)
{
    struct oid head;
    int r = mainline_head(config->mainline, &head);

    if (r == 0)
        r = history_is_ancestor(config->repo, revision, &head);
    return r == -ENOENT ? 0 : r;
}

/* -EAGAIN: the mainline was elsewhere; where it is, is known now. */
static int advance(struct landing *l)
{
    _cleanup_(diag_done) struct diag why = {0};
    _cleanup_free_ char *log =
        xasprintf("%s: %.*s", l->what, (int)strcspn(l->change.message, "\n"), l->change.message);
    int r = mainline_advance(l->config->mainline, &l->head, &l->revision, log, &why);

    if (r == 0)
        return 0;
    int known = mainline_refresh(l->config->mainline, r == -EAGAIN ? &why : NULL);
    if (r == -EAGAIN && known == 0)
        return r;
    return landing_refuse_diag(l, r == -EAGAIN ? known : r, &why);
}

static int move_mainline(struct landing *l)
{
    int r = write_revision(l);

    if (r < 0)
        return r;
    if (l->ops->announce)
        r = l->ops->announce(l);
    if (r == 0)
        r = advance(l);
    return l->ops->settle ? l->ops->settle(l, r) : r;
}

/* Attempts and rounds */

static int attempt(struct landing *l)
{
    int r = meet_head(l);

    if (r == 0 && l->ops->take)
        r = l->ops->take(l);
    if (r == 0)
        r = merge(l);
    if (r == 0)
        r = check_held(l, &l->head_tree, &l->merged);
    if (r != 0)
        return r;
    if (l->needed > 0 && l->ops->propose) {
        r = l->ops->propose(l);
        return r < 0 ? r : 1;
    }
    return move_mainline(l);
}

static int attempts(struct landing *l)
{
    int r = -EAGAIN;

    for (int i = 0; i < TRIES_MOST && r == -EAGAIN; i++)
        r = attempt(l);
    if (r == -EAGAIN)
        return landing_refuse(l, -EBUSY, "the mainline moves too fast: every attempt lost a race");
    return r;
}

static int run_round(struct landing *l)
{
    int r = l->ops->hold ? l->ops->hold(l) : 0;

    if (r == 0)
        r = attempts(l);
    if (l->ops->release)
        l->ops->release(l);
    return r;
}

static int run_rounds(struct landing *l)
{
    for (int i = 0; i < TRIES_MOST; i++) {
        int r = run_round(l);
        if (r != -EINPROGRESS)
            return r;
        r = check(l, &l->unchecked, 0);
        if (r < 0)
            return r;
    }
    return landing_refuse(l, -EBUSY,
                          "the change or the mainline was another whenever the checks had passed");
}

int landing_run(struct landing *l)
{
    _cleanup_(batch_freep) struct batch *batch = batch_new(l->config->repo);

    l->batch = batch;
    return run_rounds(l);
}

int landing_try(struct landing *l)
{
    _cleanup_(batch_freep) struct batch *batch = batch_new(l->config->repo);

    l->batch = batch;
    int r = meet_head(l);

    if (r == 0)
        r = merge(l);
    return r < 0 ? r : check(l, &(struct check_input){l->head_tree, l->merged}, 0);
}

void landing_add_behind(const struct staging_config *config, const struct oid *base,
                        struct buf *out)
{
    struct oid head;
    int behind = mainline_head(config->mainline, &head);

    if (oid_is_zero(base))
        behind = behind == -ENOENT ? 0 : -ENOENT;
    else if (behind == 0)
        behind = history_distance(config->repo, &head, base, BEHIND_MOST);
    if (behind < 0)
        buf_adds(out, "behind: unknown\n");
    else
        buf_addf(out, "behind: %d\n", behind);
}

const char *landing_label(int r)
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
