#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/io.h"
#include "repo/entry_name.h"
#include "stage/autocommit.h"
#include "stage/control.h"
#include "stage/overlay_node.h"

/* Times of directories. The kernel keeps a listing as long as the directory's mtime stays the same,
 * so each change of what the directory shows gives a later one, and bringing something into the
 * upper, which changes nothing that shows, leaves it as it was. */

static int64_t mtime_of(struct overlay_node *dir, int fd)
{
    struct stat st;

    if (!dir->at.upper || fstat(fd, &st) < 0)
        return dir->ws->overlay.base_mtime;
    return clock_ns((struct timespec)st.st_mtim);
}

/* A directory whose entries are about to be changed; its upper side exists. */
struct change {
    struct overlay_node *dir;
    struct overlay_dir sides;
    int64_t before;
};

static int bring_up(struct overlay_node *dir, const char *name, bool empty,
                    struct overlay_entry *e);

/* Makes sure that a directory has an upper side. */
static int bring_up_dir(struct overlay_node *n)
{
    if (n->at.kind == ENTRY_MODULE && !n->at.upper)
        return -EROFS;
    return n->at.upper ? 0 : bring_up(overlay_parent(n), n->name, false, &n->at);
}

static int change_begin(struct change *c, struct overlay_node *dir)
{
    int r = dir->gone ? -ENOENT : bring_up_dir(dir);

    c->dir = dir;
    if (r == 0)
        r = overlay_node_dir(dir, &c->sides);
    if (r == 0)
        c->before = mtime_of(dir, c->sides.fd);
    return r;
}

/* `shows`: the directory shows something else than before. A filesystem that gives a change another
 * time than that which was asked for before it (Linux 6.13) has left nothing to do. */
static void change_end(struct change *c, bool shows)
{
    int64_t now = clock_real(), later = now > c->before ? now : c->before + 1;

    if (!shows || mtime_of(c->dir, c->sides.fd) <= c->before)
        overlay_set_mtime(c->sides.fd, shows ? later : c->before);
    overlay_node_close_dir(c->dir, &c->sides);
    if (shows)
        overlay_node_forget_listing(c->dir);
}

/* Brings what `dir` has under `name` into the upper; `e` is what it is, and says so afterwards. */
static int bring_up(struct overlay_node *dir, const char *name, bool empty, struct overlay_entry *e)
{
    struct change c;
    uint64_t size = 0;
    int64_t bytes = ROOM_LEAST;

    if (e->upper)
        return 0;
    int r = change_begin(&c, dir);
    if (r < 0)
        return r;
    if (S_ISREG(e->type) && !empty)
        r = blob_size(dir->ws->overlay.repo, &e->base, &size);
    if (size > ROOM_LEAST)
        bytes = size;
    if (r == 0)
        r = room_take(dir->ws, false, bytes);
    if (r == 0) {
        r = overlay_copy_up(&dir->ws->overlay, &c.sides, name, empty, e);
        if (r < 0)
            room_take(dir->ws, false, -bytes);
    }
    change_end(&c, false);
    return r;
}

/* A file without a name for a gone one of the base. */
static int bring_up_gone(struct overlay_node *n)
{
    struct workspace *ws = n->ws;
    uint64_t size = 0;
    int fd;

    int r = blob_size(ws->overlay.repo, &n->at.base, &size);
    int64_t bytes = overlay_room(&n->at, size);
    if (r == 0)
        r = room_take(ws, true, bytes);
    if (r < 0)
        return r;
    r = overlay_copy_nameless(&ws->overlay, &n->at, &fd);
    if (r < 0) {
        room_take(ws, true, -bytes);
        return r;
    }
    n->held = bytes;
    fd_cache_add(ws->env->fds, &n->slot, fd);
    fd_cache_keep(ws->env->fds, &n->slot);
    overlay_node_put(n);
    n->at.upper = true;
    return 0;
}

int overlay_node_bring_up(struct overlay_node *n, bool empty)
{
    if (n->at.upper)
        return 0;
    if (!n->gone)
        return bring_up(overlay_parent(n), n->name, empty, &n->at);
    return S_ISREG(n->at.type) ? bring_up_gone(n) : -ESTALE;
}

/* Names */

/* May this name be made in that directory, for a `type` of thing? */
static int check_new_name(const struct overlay_node *dir, const char *name, mode_t type)
{
    if (strlen(name) > OVERLAY_NAME_MOST)
        return -ENAMETOOLONG;
    if (entry_name_is_gits(name) || (S_ISLNK(type) && entry_name_is_modules(name)))
        return -EINVAL;
    return !dir->name && !strcmp(name, CONTROL_NAME) ? -EEXIST : 0;
}

/* May this name, which is there, be taken away? */
static int check_old_name(const struct overlay_node *dir, const char *name)
{
    if (strlen(name) > OVERLAY_NAME_MOST)
        return -ENAMETOOLONG;
    return !dir->name && !strcmp(name, CONTROL_NAME) ? -EPERM : 0;
}

static int depth_of(const struct overlay_node *n)
{
    int depth = 0;

    for (; n; n = overlay_parent(n))
        depth++;
    return depth;
}

/* What `dir` shows under `name`. */
static int find(struct overlay_node *dir, const char *name, struct overlay_entry *ret)
{
    struct overlay_dir d;
    int r = overlay_node_dir(dir, &d);

    if (r < 0)
        return r;
    r = overlay_find(&dir->ws->overlay, &d, name, ret);
    overlay_node_close_dir(dir, &d);
    return r;
}

int overlay_node_enter(struct overlay_node *n, const struct caller *who)
{
    int r = workspace_may_change(n->ws, who);

    if (r < 0)
        return r;
    workspace_lock_names(n->ws);
    r = overlay_node_sync(n);
    if (r < 0)
        workspace_unlock_names(n->ws);
    return r;
}

void overlay_node_leave(struct workspace *ws)
{
    workspace_unlock_names(ws);
    autocommit_arm(ws->env->autocommit, ws);
}

/* Making */

struct new_entry {
    mode_t type, mode;
    const char *target;
};

static int make_entry(struct change *c, const char *name, const struct new_entry *new,
                      struct overlay_node **ret)
{
    struct overlay *o = &c->dir->ws->overlay;
    struct overlay_entry e;
    int fd = -1, r;

    if (S_ISREG(new->type))
        r = overlay_make_file(o, &c->sides, name, new->mode, &e, &fd);
    else if (S_ISDIR(new->type))
        r = overlay_make_dir(o, &c->sides, name, new->mode, &e);
    else
        r = overlay_make_link(o, &c->sides, name, new->target, &e);
    if (r < 0)
        return r;
    *ret = overlay_node_child(c->dir, name, &e);
    if (fd >= 0) { /* it is about to be written to */
        fd_cache_add(c->dir->ws->env->fds, &(*ret)->slot, fd);
        overlay_node_put(*ret);
    }
    return 0;
}

/* `there`: the room that a whiteout has already. */
static int make_within_room(struct change *c, const char *name, const struct new_entry *new,
                            int64_t there, struct overlay_node **ret)
{
    struct workspace *ws = c->dir->ws;
    int r = room_take(ws, false, ROOM_LEAST - there);

    if (r == 0) {
        r = make_entry(c, name, new, ret);
        if (r < 0)
            room_take(ws, false, there - ROOM_LEAST);
    }
    return r;
}

/* -EEXIST if `dir` shows something under `name`; else the room that a whiteout there has. The upper
 * is asked once: what it has not, only the base may have. */
static int64_t check_free(struct overlay_node *dir, const char *name)
{
    struct overlay *o = &dir->ws->overlay;
    struct overlay_entry e;
    struct overlay_dir d;
    int r = overlay_node_dir(dir, &d);

    if (r < 0)
        return r;
    int64_t there = d.fd < 0 ? 0 : overlay_room_at(o, d.fd, name);
    if (there >= 0) {
        struct overlay_dir rest = {.fd = there ? d.fd : -1, .base = d.base, .ino = d.ino};
        r = overlay_find(o, &rest, name, &e);
    }
    overlay_node_close_dir(dir, &d);
    if (there < 0)
        return there;
    return r == 0 ? -EEXIST : r == -ENOENT ? there : r;
}

static int make(struct node *node, const struct caller *who, const char *name,
                const struct new_entry *new, struct node **ret)
{
    struct overlay_node *dir = overlay_node(node), *made = NULL;
    int64_t there = 0;
    struct change c;

    int r = overlay_node_enter(dir, who);
    if (r < 0)
        return r;
    r = dir->gone ? -ENOENT : check_new_name(dir, name, new->type);
    if (r == 0 && S_ISDIR(new->type) && depth_of(dir) > OVERLAY_DEPTH_MOST)
        r = -ENAMETOOLONG;
    if (r == 0) {
        there = check_free(dir, name);
        r = there < 0 ? there : 0;
    }
    if (r == 0)
        r = change_begin(&c, dir);
    if (r == 0) {
        r = make_within_room(&c, name, new, there, &made);
        change_end(&c, r == 0);
    }
    overlay_node_leave(dir->ws);
    if (r == 0)
        *ret = &made->node;
    return r;
}

int overlay_create(struct node *dir, const struct caller *who, const char *name, mode_t mode,
                   struct node **ret)
{
    return make(dir, who, name, &(struct new_entry){.type = S_IFREG, .mode = mode}, ret);
}

int overlay_mkdir(struct node *dir, const struct caller *who, const char *name, mode_t mode,
                  struct node **ret)
{
    return make(dir, who, name, &(struct new_entry){.type = S_IFDIR, .mode = mode}, ret);
}

int overlay_symlink(struct node *dir, const struct caller *who, const char *name,
                    const char *target, struct node **ret)
{
    return make(dir, who, name, &(struct new_entry){.type = S_IFLNK, .target = target}, ret);
}

/* Taking away */

/* What is about to disappear from a name: its node, if there is one, with its descriptor open (N3).
 */
struct victim {
    struct overlay_node *node; /* NULL: the kernel does not know it */
    bool pinned;
    int64_t bytes;
};

static int victim_take(struct victim *v, struct change *c, const char *name,
                       const struct overlay_entry *e)
{
    struct stat st;

    *v = (struct victim){.node = overlay_node_known(c->dir, name, e)};
    if (e->upper && S_ISREG(e->type) && fstatat(c->sides.fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0)
        v->bytes = overlay_room(e, st.st_size);
    else if (e->upper)
        v->bytes = ROOM_LEAST;
    if (!v->node || !v->node->at.upper)
        return 0;
    int fd = overlay_node_fd(v->node);
    if (fd < 0) {
        node_unref(&v->node->node);
        return fd;
    }
    v->pinned = true;
    return 0;
}

/* `gone`: it has disappeared; else nothing has happened. */
static void victim_give(struct victim *v, struct workspace *ws, bool gone)
{
    if (!v->node)
        return;
    if (gone) {
        overlay_node_detach(v->node);
        v->node->held = v->bytes;
        room_hold(ws, v->bytes);
    }
    if (v->pinned)
        overlay_node_put(v->node);
    node_unref(&v->node->node);
}

/* Takes the room for something to go from a name to another one, over what is there, or away from
 * the one that is both: `ret_more`, less than none if there will be room. */
static int leave_begin(struct change *from, const char *name, struct change *to,
                       const char *to_name, int64_t *ret_more)
{
    struct workspace *ws = from->dir->ws;
    int64_t behind = overlay_room_left_behind(&ws->overlay, &from->sides, name);
    int64_t there = overlay_room_at(&ws->overlay, to->sides.fd, to_name);

    if (behind < 0 || there < 0)
        return behind < 0 ? behind : there;
    int r = behind > there ? room_take(ws, false, behind - there) : 0;
    if (r == 0)
        *ret_more = behind - there;
    return r;
}

/* `done`: it has gone; else nothing has happened. */
static void leave_end(struct workspace *ws, int64_t more, bool done)
{
    if (done && more < 0)
        room_take(ws, false, more);
    else if (!done && more > 0)
        room_take(ws, false, -more);
}

static int remove_entry(struct change *c, const char *name, const struct overlay_entry *e)
{
    struct workspace *ws = c->dir->ws;
    int64_t more;
    int r = leave_begin(c, name, c, name, &more);

    if (r == 0) {
        r = overlay_remove(&ws->overlay, &c->sides, name, e);
        leave_end(ws, more, r == 0);
    }
    return r;
}

static int take_away(struct overlay_node *dir, const char *name, const struct overlay_entry *e)
{
    struct change c;
    struct victim v;
    int r = change_begin(&c, dir);

    if (r < 0)
        return r;
    r = victim_take(&v, &c, name, e);
    if (r == 0) {
        r = remove_entry(&c, name, e);
        victim_give(&v, dir->ws, r == 0);
    }
    change_end(&c, r == 0);
    return r;
}

int overlay_unlink(struct node *node, const struct caller *who, const char *name)
{
    struct overlay_node *dir = overlay_node(node);
    struct overlay_entry e;

    int r = overlay_node_enter(dir, who);
    if (r < 0)
        return r;
    r = check_old_name(dir, name);
    if (r == 0)
        r = find(dir, name, &e);
    if (r == 0)
        r = S_ISDIR(e.type) ? -EISDIR : take_away(dir, name, &e);
    overlay_node_leave(dir->ws);
    return r;
}

/* 0 if the directory that `e` is shows nothing, else -ENOTEMPTY. */
static int check_empty(struct overlay_node *dir, const char *name, const struct overlay_entry *e)
{
    struct overlay_dir parent, d = {.fd = -1, .base = e->base, .ino = e->ino};

    if (e->kind == ENTRY_MODULE && !e->upper)
        return 0;
    int r = overlay_node_dir(dir, &parent);
    if (r < 0)
        return r;
    if (e->upper) {
        d.fd = openat(parent.fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        r = d.fd < 0 ? -errno : 0;
    }
    if (r == 0)
        r = overlay_is_empty(&dir->ws->overlay, &d);
    closep(&d.fd);
    overlay_node_close_dir(dir, &parent);
    return r < 0 ? r : r ? 0 : -ENOTEMPTY;
}

int overlay_rmdir(struct node *node, const struct caller *who, const char *name)
{
    struct overlay_node *dir = overlay_node(node);
    struct overlay_entry e;

    int r = overlay_node_enter(dir, who);
    if (r < 0)
        return r;
    r = check_old_name(dir, name);
    if (r == 0)
        r = find(dir, name, &e);
    if (r == 0)
        r = S_ISDIR(e.type) ? check_empty(dir, name, &e) : -ENOTDIR;
    if (r == 0)
        r = take_away(dir, name, &e);
    overlay_node_leave(dir->ws);
    return r;
}

/* Moving */

struct move {
    struct overlay_node *from, *to;
    const char *name, *to_name;
    unsigned flags;
    struct overlay_entry e, t; /* what is at both names */
    bool there;                /* something is at to_name */
};

static bool is_module(const struct overlay_entry *e)
{
    return S_ISDIR(e->type) && !e->upper && e->kind == ENTRY_MODULE;
}

/* Is `n` the directory that `dir` has under `name`, or below it? */
static bool is_within(const struct overlay_node *n, const struct overlay_node *dir,
                      const char *name)
{
    for (; n && n->name; n = overlay_parent(n))
        if (overlay_parent(n) == dir && !strcmp(n->name, name))
            return true;
    return false;
}

/* 1: nothing is to be done. */
static int check_move(struct move *m)
{
    bool exchange = m->flags & RENAME_EXCHANGE;

    int r = find(m->from, m->name, &m->e);
    if (r == 0)
        r = check_new_name(m->to, m->to_name, m->e.type);
    if (r < 0)
        return r;
    r = find(m->to, m->to_name, &m->t);
    if (r < 0 && r != -ENOENT)
        return r;
    m->there = r == 0;
    if (exchange && !m->there)
        return -ENOENT;
    if (m->there && (m->flags & RENAME_NOREPLACE))
        return -EEXIST;
    if (m->from == m->to && !strcmp(m->name, m->to_name))
        return 1;
    /* A submodule is only a name in the base: there is nothing to move. */
    if (is_module(&m->e) || (exchange && is_module(&m->t)))
        return -EPERM;
    if (is_within(m->to, m->from, m->name))
        return -EINVAL;
    if (exchange && is_within(m->from, m->to, m->to_name))
        return -EINVAL;
    if (exchange)
        return check_new_name(m->from, m->name, m->t.type);
    if (S_ISDIR(m->e.type) && depth_of(m->to) > OVERLAY_DEPTH_MOST)
        return -ENAMETOOLONG;
    if (!m->there)
        return 0;
    if (S_ISDIR(m->e.type))
        return S_ISDIR(m->t.type) ? check_empty(m->to, m->to_name, &m->t) : -ENOTDIR;
    return S_ISDIR(m->t.type) ? -EISDIR : 0;
}

/* Brings up what is moved, in its node too if there is one (referenced in `ret`). */
static int move_prepare(struct overlay_node *dir, const char *name, struct overlay_entry *e,
                        struct overlay_node **ret)
{
    struct overlay_node *n = overlay_node_known(dir, name, e);
    int r = bring_up(dir, name, false, n ? &n->at : e);

    if (n)
        *e = n->at;
    *ret = n;
    return r;
}

static int rename_entry(struct move *m, struct change *from, struct change *to)
{
    struct workspace *ws = m->from->ws;
    int64_t more;
    int r = leave_begin(from, m->name, to, m->to_name, &more);

    if (r == 0) {
        r = overlay_rename(&ws->overlay, &from->sides, m->name, &m->e, &to->sides, m->to_name);
        leave_end(ws, more, r == 0);
    }
    return r;
}

static int move_over(struct move *m, struct change *from, struct change *to)
{
    struct overlay_node *n = NULL;
    struct victim v = {0};
    int r = move_prepare(m->from, m->name, &m->e, &n);

    if (r == 0 && m->there)
        r = victim_take(&v, to, m->to_name, &m->t);
    if (r == 0) {
        r = rename_entry(m, from, to);
        victim_give(&v, m->from->ws, r == 0);
    }
    if (r == 0 && n)
        overlay_node_move(n, m->to, m->to_name);
    if (n)
        node_unref(&n->node);
    return r;
}

static int move_exchange(struct move *m, struct change *from, struct change *to)
{
    struct overlay_node *a = NULL, *b = NULL;
    int r = move_prepare(m->from, m->name, &m->e, &a);

    if (r == 0)
        r = move_prepare(m->to, m->to_name, &m->t, &b);
    if (r == 0)
        r = overlay_exchange(&m->from->ws->overlay, &from->sides, m->name, &to->sides, m->to_name);
    if (r == 0 && a)
        overlay_node_move(a, m->to, m->to_name);
    if (r == 0 && b)
        overlay_node_move(b, m->from, m->name);
    node_unref(a ? &a->node : NULL);
    node_unref(b ? &b->node : NULL);
    return r;
}

static int move(struct move *m)
{
    struct change from, to;
    int r = change_begin(&from, m->from);

    if (r < 0)
        return r;
    r = change_begin(&to, m->to);
    if (r == 0) {
        r = m->flags & RENAME_EXCHANGE ? move_exchange(m, &from, &to) : move_over(m, &from, &to);
        change_end(&to, r == 0);
    }
    change_end(&from, r == 0);
    return r;
}

int overlay_move(struct node *node, const struct caller *who, const char *name,
                 struct node *to_node, const char *to_name, unsigned flags)
{
    struct move m = {.from = overlay_node(node), .name = name, .to_name = to_name, .flags = flags};

    /* Nothing moves to beside the workspaces. Not -EXDEV: then mv(1) would copy a directory, which
     * makes a workspace of that name, and remove it here. */
    if (to_node->ops != &overlay_dir_ops)
        return -EPERM;
    if (overlay_node(to_node)->ws != m.from->ws)
        return -EXDEV;
    if (flags & ~(RENAME_NOREPLACE | RENAME_EXCHANGE))
        return -EINVAL;
    m.to = overlay_node(to_node);
    int r = overlay_node_enter(m.from, who);
    if (r < 0)
        return r;
    r = overlay_node_sync(m.to);
    if (r == 0)
        r = m.from->gone || m.to->gone ? -ENOENT : check_old_name(m.from, name);
    if (r == 0)
        r = check_move(&m);
    if (r == 0)
        r = move(&m);
    overlay_node_leave(m.from->ws);
    return r < 0 ? r : 0;
}

void overlay_moved_before(struct node *node, const char *name, struct node *to_node,
                          const char *to_name)
{
    struct overlay_node *from = overlay_node(node), *to = overlay_node(to_node);

    workspace_lock_names(from->ws);
    numbers_move(&from->ws->overlay.numbers, numbers_place(from->node.ino, name),
                 numbers_place(to->node.ino, to_name));
    workspace_unlock_names(from->ws);
}
