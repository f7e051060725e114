#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "view/context.h"

static const char readme[] =
    "This is a Git repository of infrastructure configuration, mounted by onwardfs.\n"
    "\n"
    "  fleet                    one line a site: state, deployed and desired revision\n"
    "  head                     -> the newest revision of the mainline\n"
    "  revisions/<id>/          the tree of a revision; read-only, never changes.\n"
    "                           Any name works: revisions/v1.4, revisions/HEAD~3\n"
    "  branches/ tags/          -> revisions\n"
    "  at/<time>                -> the mainline as it was: at/2026-11-01, at/2026-11-01T12:30Z\n"
    "  history/<path>/          every version of a file or directory -> revisions\n"
    "  commits/<id>/            message, author, date, changes, patch of a revision; sites\n"
    "                           that run it\n"
    "  sites/<site>/            desired, deployed, previous -> revisions; status; history/;\n"
    "                           blame: each deployed line with the revision that changed it\n"
    "  teams/<team>/            the same sites by team\n"
    "  staging/                 mkdir staging/my-change, edit there, then\n"
    "                           echo 'why' > staging/my-change/.onward/commit\n"
    "  proposals/<n>/           changes that wait for approvals: diff, message, author;\n"
    "                           echo yes > proposals/<n>/approve\n"
    "  .onward/                 the daemon's own files (not listed): status.json metrics events\n"
    "                           config.yaml version ctl outcome orders\n"
    "\n"
    "Compare what a site runs with what it should run:\n"
    "  diff -r sites/<site>/deployed/ sites/<site>/desired/\n"
    "More: man 4 onwardfs, man 1 onward.\n";

int64_t view_refs_time(void *view)
{
    return mainline_changed_at(((struct view *)view)->config.mainline);
}

int64_t view_fleet_time(void *view)
{
    _cleanup_(fleet_unrefp) struct fleet *fleet =
        fleet_board_peek(((struct view *)view)->config.board);

    return fleet->at ? fleet->at : view_refs_time(view); /* 0: there is no fleet yet */
}

char *view_target(const char *up, const struct oid *revision, const char *source)
{
    char hex[OID_HEX + 1];
    bool below = source && strcmp(source, ".");

    return xasprintf("%srevisions/%s%s%s", up, oid_hex(revision, hex), below ? "/" : "",
                     below ? source : "");
}

static int open_readme(void *ctx, struct node *dir, uint64_t ino, struct node **ret)
{
    struct buf text = {0};

    buf_adds(&text, readme);
    *ret = text_node_new(dir->table, ino, &text, view_refs_time(ctx));
    return 0;
}

static int open_fleet(void *ctx, struct node *dir, uint64_t ino, struct node **ret)
{
    struct view *v = ctx;
    _cleanup_(fleet_unrefp) struct fleet *fleet = fleet_board_get(v->config.board);
    struct buf text = {0};

    fleet_render(fleet, &text);
    *ret = text_node_new(dir->table, ino, &text, fleet->at);
    return 0;
}

static bool has_head(void *ctx)
{
    struct oid head;

    return mainline_head(((struct view *)ctx)->config.mainline, &head) == 0;
}

static int open_head(void *ctx, struct node *dir, uint64_t ino, struct node **ret)
{
    if (!has_head(ctx))
        return -ENOENT;
    *ret = head_node(ctx, ino);
    return 0;
}

static bool has_history(void *ctx)
{
    return ((struct view *)ctx)->config.history;
}

static bool has_staging(void *ctx)
{
    return ((struct view *)ctx)->config.staging;
}

static int open_staging(void *ctx, struct node *dir, uint64_t ino, struct node **ret)
{
    *ret = node_ref(((struct view *)ctx)->config.staging);
    return 0;
}

static bool has_proposals(void *ctx)
{
    return ((struct view *)ctx)->config.proposals;
}

static int open_proposals(void *ctx, struct node *dir, uint64_t ino, struct node **ret)
{
    *ret = node_ref(((struct view *)ctx)->config.proposals);
    return 0;
}

#define OPEN_DIR(name)                                                                             \
    static int open_##name(void *ctx, struct node *dir, uint64_t ino, struct node **ret)           \
    {                                                                                              \
        *ret = name##_node(ctx, ino);                                                              \
        return 0;                                                                                  \
    }
OPEN_DIR(revisions)
OPEN_DIR(branches)
OPEN_DIR(tags)
OPEN_DIR(at)
OPEN_DIR(commits)
OPEN_DIR(history)
OPEN_DIR(sites)
OPEN_DIR(teams)
OPEN_DIR(onward)

static const struct menu_item root_items[] = {
    {"README", S_IFREG, false, NULL, open_readme},
    {"fleet", S_IFREG, false, NULL, open_fleet},
    {"head", S_IFLNK, false, has_head, open_head},
    {"revisions", S_IFDIR, false, NULL, open_revisions},
    {"branches", S_IFDIR, false, NULL, open_branches},
    {"tags", S_IFDIR, false, NULL, open_tags},
    {"at", S_IFDIR, false, NULL, open_at},
    {"commits", S_IFDIR, false, NULL, open_commits},
    {"history", S_IFDIR, false, has_history, open_history},
    {"sites", S_IFDIR, false, NULL, open_sites},
    {"teams", S_IFDIR, false, NULL, open_teams},
    {"staging", S_IFDIR, false, has_staging, open_staging},
    {"proposals", S_IFDIR, false, has_proposals, open_proposals},
    {".onward", S_IFDIR, true, NULL, open_onward},
};

static const struct menu root_menu = {
    .kind = "root",
    .items = root_items,
    .n = ARRAY_SIZE(root_items),
    .mode = 0555,
    .mtime = view_refs_time,
    .kept = true, /* view_refs_changed() */
};

int view_dir_getattr(struct node *node, struct stat *st)
{
    st->st_mode = S_IFDIR | 0555;
    st->st_mtim = clock_timespec(view_refs_time(((struct view_dir *)node)->view));
    return 0;
}

static void view_dir_init(struct node *node, const void *arg)
{
    ((struct view_dir *)node)->view = *(struct view *const *)arg;
}

struct node *view_dir_node(struct view *v, const struct node_ops *ops, uint64_t ino)
{
    return node_intern(v->config.table, ops, sizeof(struct view_dir), ops->kind, strlen(ops->kind),
                       ino, view_dir_init, &v);
}

struct view *view_new(const struct view_config *config)
{
    struct view *v = NEW(struct view);

    v->config = *config;
    pthread_mutex_init(&v->lock, NULL);
    pthread_mutex_init(&v->places, NULL);
    return v;
}

void view_free(struct view *v)
{
    if (!v)
        return;
    map_done(&v->outcomes, free);
    free(v->revisions.v);
    pthread_mutex_destroy(&v->lock);
    pthread_mutex_destroy(&v->places);
    free(v);
}

struct node *view_root(struct view *v)
{
    return menu_node_get(v->config.table, &root_menu, "", VIEW_ROOT_INO, v, NULL);
}

void view_refs_changed(struct view *v)
{
    _cleanup_(node_unrefp) struct node *root = view_root(v);
    _cleanup_(node_unrefp) struct node *revisions =
        revisions_node(v, node_ino(VIEW_ROOT_INO, "revisions"));
    _cleanup_(node_unrefp) struct node *head = head_node(v, node_ino(VIEW_ROOT_INO, "head"));

    node_changed(root);
    node_changed(revisions);
    node_changed(head);
}
