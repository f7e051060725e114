#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/log.h"
#include "base/metric.h"
#include "base/utf8.h"
#include "onward/version.h"
#include "repo/oid_json.h"
#include "tree/control.h"
#include "view/context.h"
#include "view/trees.h"

/* Text of the findings of .onward/ledger; there it ends. */
#define LEDGER_FINDINGS_MOST (16u << 20)
#define ORDERS_SHOWN         1000 /* records of the fleet */
#define LINE_SHOWN           200  /* bytes of a command in the log and in its outcome */

/* .onward/: the daemon's own files. Found by name, not listed in the root, so that walks over the
 * mount do not enter it. */

static int64_t onward_mtime(void *ctx)
{
    return view_fleet_time(ctx);
}

static int open_text(struct view *v, uint64_t ino, struct buf *text, struct node **ret)
{
    *ret = text_node_new(v->config.table, ino, text, onward_mtime(v));
    return 0;
}

static int open_status(void *ctx, struct node *dir, uint64_t ino, struct node **ret)
{
    struct view *v = ctx;
    struct buf text = {0};

    v->config.status_text(v->config.ctx, &text);
    return open_text(v, ino, &text, ret);
}

static int open_config(void *ctx, struct node *dir, uint64_t ino, struct node **ret)
{
    struct view *v = ctx;
    struct buf text = {0};

    v->config.config_text(v->config.ctx, &text);
    return open_text(v, ino, &text, ret);
}

static int open_metrics(void *ctx, struct node *dir, uint64_t ino, struct node **ret)
{
    struct view *v = ctx;
    _cleanup_(fleet_unrefp) struct fleet *fleet = fleet_board_peek(v->config.board);
    struct buf text = {0};

    metric_render(&text);
    if (fleet)
        fleet_render_metric(fleet, &text);
    return open_text(v, ino, &text, ret);
}

static int open_version(void *ctx, struct node *dir, uint64_t ino, struct node **ret)
{
    struct buf text = {0};

    buf_adds(&text, "onwardfs " ONWARD_VERSION "\n");
    return open_text(ctx, ino, &text, ret);
}

static int open_events(void *ctx, struct node *dir, uint64_t ino, struct node **ret)
{
    *ret = node_ref(((struct view *)ctx)->config.events);
    return 0;
}

/* What is repeated of a command: nobody shall fill the log with lines as long as he may write. */
static char *begin_of(const char *line)
{
    size_t len = strnlen(line, LINE_SHOWN + 1),
           cut = len > LINE_SHOWN ? utf8_cut(line, LINE_SHOWN) : len;

    return xasprintf("%.*s%s", (int)cut, line, cut < len ? "…" : "");
}

/* Keeps what that user reads in `outcome` next. Takes the text. */
static void keep_outcome(struct view *v, const struct caller *who, struct buf *said)
{
    _cleanup_free_ char *uid = xasprintf("%u", who->uid);

    pthread_mutex_lock(&v->lock);
    free(map_put(&v->outcomes, uid, buf_take(said)));
    pthread_mutex_unlock(&v->lock);
}

static void on_refused(void *ctx, const struct caller *who, const char *why)
{
    struct buf said = {0};

    buf_addf(&said, "%s\n", why);
    keep_outcome(ctx, who, &said);
}

static int on_command(void *ctx, const struct caller *who, const char *line)
{
    struct view *v = ctx;
    _cleanup_(diag_done) struct diag why = {0};
    _cleanup_(buf_done) struct buf said = {0}, answer = {0};
    _cleanup_free_ char *begin = begin_of(line);
    int r = v->config.command(v->config.ctx, who, line, &answer, &why);

    buf_add_visible(&said, begin);
    buf_addf(&said, ": %s\n", r < 0 ? diag_text(&why, r) : answer.len ? answer.data : "done");
    if (r < 0)
        log_warn("command-failed", "uid=%u line=\"%s\" reason=\"%s\"", who->uid, begin,
                 diag_text(&why, r));
    keep_outcome(v, who, &said);
    return r;
}

static int open_ctl(void *ctx, struct node *dir, uint64_t ino, struct node **ret)
{
    struct view *v = ctx;
    struct control_config config = {
        .mode = 0200,
        .uid = (uid_t)-1,
        .gid = (gid_t)-1,
        .mtime = onward_mtime(v),
        .command = on_command,
        .refused = on_refused,
        .ctx = v,
    };

    *ret = control_node_get(v->config.table, ino, &config);
    return 0;
}

static int open_outcome(void *ctx, struct node *dir, uint64_t ino, struct node **ret)
{
    struct view *v = ctx;
    struct buf text = {0};
    _cleanup_free_ char *uid = xasprintf("%u", caller_current().uid);

    pthread_mutex_lock(&v->lock);
    const char *outcome = map_get(&v->outcomes, uid);
    buf_adds(&text, outcome ? outcome : "");
    pthread_mutex_unlock(&v->lock);
    return open_text(v, ino, &text, ret);
}

static void put_count(json_t *j, const char *key, uint64_t n)
{
    json_object_set_new(j, key, json_integer(n));
}

static void add_line(json_t *j, struct buf *out)
{
    json_write(j, 0, out);
    buf_addc(out, '\n');
    json_decref(j);
}

static int add_finding(const struct ledger_finding *f, void *out)
{
    json_t *j = json_object();

    json_put_str(j, "host", f->host);
    oid_put_json(j, "commit", &f->commit);
    json_put_str(j, "site", f->site);
    put_count(j, "generation", f->generation);
    json_put_str(j, "what", f->what);
    add_line(j, out);
    return ((struct buf *)out)->len < LEDGER_FINDINGS_MOST ? 0 : -EFBIG;
}

/* .onward/ledger: verifies the whole ledger when its name is looked up: a line for each finding,
 * and one with the totals. */
static int open_ledger(void *ctx, struct node *dir, uint64_t ino, struct node **ret)
{
    struct view *v = ctx;
    _cleanup_(buf_done) struct buf text = {0};
    struct ledger_totals totals;
    int r = ledger_verify(v->config.ledger, add_finding, &text, &totals, NULL);

    if (r < 0 && r != -EFBIG)
        return r;
    json_t *j = json_object();
    put_count(j, "chains", totals.chains);
    put_count(j, "commits", totals.commits);
    put_count(j, "records", totals.records);
    put_count(j, "findings", totals.findings);
    json_object_set_new(j, "complete", json_boolean(r == 0));
    add_line(j, &text);
    return open_text(v, ino, &text, ret);
}

struct orders {
    struct view *view;
    struct buf text;
    int left;
};

static int add_order(const struct record *r, void *arg)
{
    struct orders *o = arg;
    int err = view_add_record(o->view, r, &o->text);

    return err < 0 ? err : --o->left == 0;
}

/* .onward/orders: the newest records of the whole fleet: paused, resumed, accepted. */
static int open_orders(void *ctx, struct node *dir, uint64_t ino, struct node **ret)
{
    struct orders o = {.view = ctx, .left = ORDERS_SHOWN};
    int r = ledger_history(o.view->config.ledger, RECORD_FLEET, add_order, &o, NULL);

    if (r >= 0)
        return open_text(o.view, ino, &o.text, ret);
    buf_done(&o.text);
    return r;
}

static bool has_ledger(void *ctx)
{
    return ((struct view *)ctx)->config.ledger;
}

static int open_trees(void *ctx, struct node *dir, uint64_t ino, struct node **ret)
{
    *ret = trees_node(ctx, ino);
    return 0;
}

static const struct menu_item onward_items[] = {
    {"status.json", S_IFREG, false, NULL, open_status},
    {"metrics", S_IFREG, false, NULL, open_metrics},
    {"events", S_IFREG, false, NULL, open_events},
    {"config.yaml", S_IFREG, false, NULL, open_config},
    {"version", S_IFREG, false, NULL, open_version},
    {"ctl", S_IFREG, false, NULL, open_ctl},
    {"outcome", S_IFREG, false, NULL, open_outcome},
    {"orders", S_IFREG, false, has_ledger, open_orders},
    {"ledger", S_IFREG, true, has_ledger, open_ledger},
    {"trees", S_IFDIR, true, NULL, open_trees},
};

static const struct menu onward_menu = {
    .kind = "onward",
    .items = onward_items,
    .n = ARRAY_SIZE(onward_items),
    .mode = 0555,
    .mtime = onward_mtime,
};

struct node *onward_node(struct view *v, uint64_t ino)
{
    return menu_node_get(v->config.table, &onward_menu, "", ino, v, NULL);
}
