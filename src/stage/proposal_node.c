#include "stage/proposal_node.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "check/check.h"
#include "repo/diff.h"
#include "stage/landing.h"
#include "stage/listing.h"
#include "stage/review.h"
#include "stage/review_merge.h"
#include "stage/workspace.h"
#include "tree/control.h"
#include "tree/link.h"
#include "tree/menu.h"
#include "tree/text.h"

#define DIFF_MOST (64 << 20)

struct proposals_dir {
    struct node node;
    struct proposals *proposals;
};

/* One proposal, which may have ended. Its files ask for it anew each time. */
struct place {
    struct proposals *proposals;
    uint64_t number;
};

static int64_t place_mtime(void *ctx)
{
    return mainline_changed_at(((struct place *)ctx)->proposals->config.mainline);
}

static void place_free(void *ctx)
{
    proposals_unref(((struct place *)ctx)->proposals);
    free(ctx);
}

static bool is_writable(void *ctx)
{
    return ((struct place *)ctx)->proposals->env;
}

static int get(void *ctx, struct proposal **ret)
{
    struct place *at = ctx;

    return proposals_get(at->proposals, at->number, ret);
}

/* A file whose text is made of the proposal as it is now. */
static int open_text(void *ctx, uint64_t ino, struct node **ret,
                     int (*add)(struct proposals *s, struct proposal *p, struct buf *out))
{
    _cleanup_(proposal_unrefp) struct proposal *p = NULL;
    _cleanup_(buf_done) struct buf text = {0};
    struct place *at = ctx;
    int r = get(ctx, &p);

    if (r == 0)
        r = add(at->proposals, p, &text);
    if (r == 0)
        *ret = text_node_new(at->proposals->config.table, ino, &text, place_mtime(ctx));
    return r;
}

static int add_author(struct proposals *s, struct proposal *p, struct buf *out)
{
    _cleanup_free_ char *who = signature_text(&p->author);

    buf_addf(out, "%s\n", who);
    return 0;
}

static int add_message(struct proposals *s, struct proposal *p, struct buf *out)
{
    buf_adds(out, p->message);
    return 0;
}

static int add_diff(struct proposals *s, struct proposal *p, struct buf *out)
{
    return diff_patch(s->config.repo, &p->base_tree, &p->tree, NULL, 0, DIFF_MOST, out);
}

static int add_approvals(struct proposals *s, struct proposal *p, struct buf *out)
{
    char when[CLOCK_TEXT];

    vec_foreach (a, &p->approvals) {
        _cleanup_free_ char *who = signature_text(&a->who);
        buf_addf(out, "%s %s", who, clock_format(clock_from_seconds(a->who.time), when));
        buf_adds(out, *a->comment ? " " : "");
        buf_add_visible(out, a->comment);
        buf_addc(out, '\n');
    }
    return 0;
}

static void add_line(struct buf *out, const char *key, const char *value)
{
    buf_addf(out, "%s: ", key);
    buf_add_visible(out, value);
    buf_addc(out, '\n');
}

static int add_status(struct proposals *s, struct proposal *p, struct buf *out)
{
    _cleanup_free_ char *who = signature_text(&p->author), *reason = proposals_reason(s, p);
    char hex[OID_HEX + 1], when[CLOCK_TEXT];

    buf_addf(out, "proposal: %" PRIu64 "\nauthor: %s\nproposed: %s\n", p->number, who,
             clock_format(clock_from_seconds(p->author.time), when));
    if (p->workspace) {
        add_line(out, "workspace", p->workspace);
        add_line(out, "owner", p->owner);
    }
    buf_addf(out, "revision: %s\n", oid_hex(&p->content, hex));
    buf_addf(out, "base: %s\n", oid_is_zero(&p->base) ? "none" : oid_hex(&p->base, hex));
    landing_add_behind(&s->config, &p->base, out);
    buf_addf(out, "approvals: %zu\nneeded: %d\n", p->approvals.n, review_needed(s));
    reason[strcspn(reason, "\n")] = 0;
    if (*reason)
        add_line(out, "not-merged", reason);
    return 0;
}

#define OPEN_TEXT(name, add)                                                                       \
    static int open_##name(void *ctx, struct node *dir, uint64_t ino, struct node **ret)           \
    {                                                                                              \
        return open_text(ctx, ino, ret, add);                                                      \
    }
OPEN_TEXT(author, add_author)
OPEN_TEXT(message, add_message)
OPEN_TEXT(diff, add_diff)
OPEN_TEXT(approvals, add_approvals)
OPEN_TEXT(status, add_status)
OPEN_TEXT(findings, review_obstacles)

static int open_tree(void *ctx, struct node *dir, uint64_t ino, struct node **ret)
{
    _cleanup_(proposal_unrefp) struct proposal *p = NULL;
    char hex[OID_HEX + 1];
    int r = get(ctx, &p);

    if (r == 0)
        *ret = link_node_new(dir->table, ino,
                             xasprintf("../../revisions/%s", oid_hex(&p->content, hex)),
                             place_mtime(ctx));
    return r;
}

static int do_approve(void *ctx, const struct caller *who, const char *line)
{
    struct place *at = ctx;

    return review_approve(at->proposals, at->number, who, line);
}

static int do_withdraw(void *ctx, const struct caller *who, const char *line)
{
    struct place *at = ctx;

    return review_withdraw(at->proposals, at->number, who);
}

/* Everybody who sees the mount may write: who may do it, is asked of the proposal. */
static int open_control(void *ctx, struct node *dir, uint64_t ino, struct node **ret,
                        int (*command)(void *, const struct caller *, const char *))
{
    struct place *at = ctx;
    struct control_config config = {
        .mode = at->proposals->config.shared ? 0222 : 0200,
        .uid = -1,
        .gid = -1,
        .mtime = place_mtime(ctx),
        .command = command,
        .ctx = ctx,
        .holder = dir,
    };

    *ret = control_node_get(at->proposals->config.table, ino, &config);
    return 0;
}

static int open_approve(void *ctx, struct node *dir, uint64_t ino, struct node **ret)
{
    return open_control(ctx, dir, ino, ret, do_approve);
}

static int open_withdraw(void *ctx, struct node *dir, uint64_t ino, struct node **ret)
{
    return open_control(ctx, dir, ino, ret, do_withdraw);
}

static const struct menu_item items[] = {
    {"approvals", S_IFREG, false, NULL, open_approvals},
    {"approve", S_IFREG, false, is_writable, open_approve},
    {"author", S_IFREG, false, NULL, open_author},
    {"diff", S_IFREG, false, NULL, open_diff},
    {"findings", S_IFREG, false, is_writable, open_findings},
    {"message", S_IFREG, false, NULL, open_message},
    {"status", S_IFREG, false, NULL, open_status},
    {"tree", S_IFLNK, false, NULL, open_tree},
    {"withdraw", S_IFREG, false, is_writable, open_withdraw},
};

static const struct menu menu = {
    .kind = "proposal",
    .items = items,
    .n = ARRAY_SIZE(items),
    .mode = 0555,
    .mtime = place_mtime,
    .free_ctx = place_free,
};

/* The directory of all */

static struct proposals *proposals_of(struct node *node)
{
    return ((struct proposals_dir *)node)->proposals;
}

static int dir_getattr(struct node *node, struct stat *st)
{
    st->st_mode = S_IFDIR | 0555;
    st->st_mtim = clock_timespec(mainline_changed_at(proposals_of(node)->config.mainline));
    return 0;
}

static int dir_lookup(struct node *dir, const char *name, struct node **ret)
{
    _cleanup_free_ char *ref = xasprintf(PROPOSAL_REFS "%s", name);
    _cleanup_(proposal_unrefp) struct proposal *p = NULL;
    struct proposals *s = proposals_of(dir);
    uint64_t number = proposal_number(ref);
    int r = number ? proposals_get(s, number, &p) : -ENOENT;

    if (r < 0)
        return r;
    struct place *at = NEW(struct place);
    *at = (struct place){proposals_ref(s), number};
    *ret = menu_node_get(dir->table, &menu, name, node_ino(dir->ino, name), at, dir);
    return 0;
}

static int dir_readdir(struct node *dir, uint64_t cookie, struct dir_sink *sink)
{
    struct proposal_list list = {0};
    struct listing l = {0};

    proposals_list(proposals_of(dir), &list);
    vec_foreach (p, &list) {
        _cleanup_free_ char *name = xasprintf("%" PRIu64, (*p)->number);
        listing_add(&l, name, S_IFDIR, node_ino(dir->ino, name));
    }
    proposal_list_done(&list);
    listing_finish(&l);
    listing_emit(&l, cookie, sink);
    listing_done(&l);
    return 0;
}

static void dir_free(struct node *node)
{
    proposals_unref(proposals_of(node));
}

static const struct node_ops dir_ops = {
    .kind = "proposals",
    .flags = NODE_SLOW,
    .getattr = dir_getattr,
    .lookup = dir_lookup,
    .readdir = dir_readdir,
    .free = dir_free,
};

struct node *proposals_dir_new(struct proposals *s, uint64_t ino)
{
    struct proposals_dir *dir =
        node_new(s->config.table, &dir_ops, sizeof(struct proposals_dir), ino);

    dir->proposals = proposals_ref(s);
    return &dir->node;
}
