/* Requests as the kernel sends them, one after the other, to a workspace: each is answered once,
 * and what is answered agrees with a model of a directory tree (model.h). The input is read as a
 * row of requests of a few bytes each; among them some for nodes that there are none of, and some
 * that a workspace has no answer to. */
#include "fuzz.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "model.h"
#include "mount/requests.h"
#include "repo/refs.h"
#include "stage/staging.h"

#define REPLY_MOST (64 << 10)
#define PATIENCE   (20 * NS_PER_SEC)
#define WORKSPACE  "w"

static struct {
    struct mainline *mainline;
    struct staging *staging;
    struct front front;
    uint64_t unique;
} world;

/* ---- messages -------------------------------------------------------------------------------- */

static struct {
    pthread_mutex_t lock;
    pthread_cond_t came;
    bool there;
    struct fuse_out_header header;
    char body[REPLY_MOST];
    size_t len;
} reply = {.lock = PTHREAD_MUTEX_INITIALIZER, .came = PTHREAD_COND_INITIALIZER};

static ssize_t on_writev(int fd, struct iovec *iov, int count, void *userdata)
{
    size_t all = iov[0].iov_len;

    pthread_mutex_lock(&reply.lock);
    memcpy(&reply.header, iov[0].iov_base, sizeof(reply.header));
    assert(reply.header.unique == world.unique && !reply.there);
    reply.len = 0;
    for (int i = 1; i < count; i++) {
        assert(reply.len + iov[i].iov_len <= sizeof(reply.body));
        memcpy(reply.body + reply.len, iov[i].iov_base, iov[i].iov_len);
        reply.len += iov[i].iov_len;
        all += iov[i].iov_len;
    }
    assert(all == reply.header.len && reply.header.error <= 0 && reply.header.error > -4096);
    assert(!reply.header.error || !reply.len);
    reply.there = true;
    pthread_cond_signal(&reply.came);
    pthread_mutex_unlock(&reply.lock);
    return all;
}

static ssize_t on_read(int fd, void *buf, size_t len, void *userdata)
{
    errno = ENODEV;
    return -1;
}

static bool has_answer(uint32_t opcode)
{
    return opcode != FUSE_FORGET;
}

/* Sends a request whose body is made of parts; waits for its answer: 0 or -errno. */
static int ask(uint32_t opcode, uint64_t node, const struct iovec *parts, int n)
{
    _cleanup_(buf_done) struct buf message = {0};
    struct timespec until = clock_timespec(clock_mono() + PATIENCE);
    struct fuse_in_header header = {.opcode = opcode,
                                    .unique = world.unique += 2,
                                    .nodeid = node,
                                    .uid = geteuid(),
                                    .gid = getegid(),
                                    .pid = 1,
                                    .len = sizeof(header)};

    for (int i = 0; i < n; i++)
        header.len += parts[i].iov_len;
    buf_add(&message, &header, sizeof(header));
    for (int i = 0; i < n; i++)
        buf_add(&message, parts[i].iov_base, parts[i].iov_len);
    reply.there = false;
    fuse_session_process_buf(world.front.session,
                             &(struct fuse_buf){.mem = message.data, .size = message.len});
    if (!has_answer(opcode))
        return 0;
    pthread_mutex_lock(&reply.lock);
    while (!reply.there)
        assert(pthread_cond_clockwait(&reply.came, &reply.lock, CLOCK_MONOTONIC, &until) == 0);
    pthread_mutex_unlock(&reply.lock);
    return reply.header.error;
}

#define PART(x)                                                                                    \
    {                                                                                              \
        &(x), sizeof(x)                                                                            \
    }
#define STRING(s)                                                                                  \
    {                                                                                              \
        (void *)(s), strlen(s) + 1                                                                 \
    }
#define ASK(op, node, ...)                                                                         \
    ask(op, node, (struct iovec[]){__VA_ARGS__},                                                   \
        sizeof((struct iovec[]){__VA_ARGS__}) / sizeof(struct iovec))

/* ---- the world ------------------------------------------------------------------------------- */

static void drop_nothing(const struct node_notice *notice, void *arg)
{
}

static int push_nothing(uint64_t id, const void *data, size_t len, void *arg)
{
    return 0;
}

static void tree_add(struct buf *tree, const char *mode, const char *name, struct oid oid)
{
    buf_addf(tree, "%s %s", mode, name);
    buf_addc(tree, 0);
    buf_add(tree, oid.id, sizeof(oid.id));
}

/* The base: as model_base() has it. */
static void make_base(void)
{
    _cleanup_(buf_done) struct buf inner = {0}, outer = {0}, commit = {0};
    struct oid file = fuzz_store("blob", MODEL_FILE, strlen(MODEL_FILE));
    char hex[OID_HEX + 1];

    tree_add(&inner, "100644", "a", file);
    tree_add(&inner, "100755", "b", file);
    tree_add(&outer, "100644", "a", file);
    tree_add(&outer, "40000", "d", fuzz_store("tree", inner.data, inner.len));
    tree_add(&outer, "120000", "s", fuzz_store("blob", MODEL_TARGET, strlen(MODEL_TARGET)));
    struct oid tree = fuzz_store("tree", outer.data, outer.len);
    buf_addf(&commit, "tree %s\nauthor a <a> 1 +0000\ncommitter a <a> 1 +0000\n\nbase\n",
             oid_hex(&tree, hex));
    struct oid tip = fuzz_store("commit", commit.data, commit.len);
    assert(ref_update(fuzz_repo(), "refs/heads/main", &(struct oid){0}, &tip, "base", NULL) == 0);
}

static void end_world(void)
{
    staging_end(world.staging);
    fuse_session_destroy(world.front.session);
    pool_free(world.front.slow);
    prefetch_free(world.front.prefetch);
    notifier_free(world.front.notifier);
    intake_free(world.front.intake);
    staging_free(world.staging);
    node_table_free(world.front.table);
    mainline_free(world.mainline);
}

static void open_session(void)
{
    static const struct fuse_custom_io io = {.writev = on_writev, .read = on_read};
    char *argv[] = {"fuzz", NULL};
    struct fuse_args args = FUSE_ARGS_INIT(1, argv);
    struct fuse_init_in init = {.major = FUSE_KERNEL_VERSION, .minor = FUSE_KERNEL_MINOR_VERSION};
    struct front *f = &world.front;

    f->session = fuse_session_new(&args, &requests, sizeof(requests), f);
    assert(f->session);
    fuse_opt_free_args(&args);
    assert(fuse_session_custom_io(f->session, &io, open("/dev/null", O_RDWR | O_CLOEXEC)) == 0);
    assert(notifier_new(drop_nothing, NULL, &f->notifier) == 0);
    assert(prefetch_new(f->table, push_nothing, NULL, &f->prefetch) == 0);
    f->slow = pool_new("slow", 1);
    f->intake = intake_new();
    assert(ASK(FUSE_INIT, 0, PART(init)) == 0);
}

static void make_world(void)
{
    _cleanup_free_ char *state = xasprintf("%s/state", fuzz_dir());
    struct staging_config config = {
        .repo = fuzz_repo(),
        .host = "fuzz",
        .root_ino = 77,
        .state_dir = state,
        .most_workspaces = 4,
        .most_file_size = 1 << 20,
        .most_workspace_size = 1 << 30,
    };

    log_open(false, LOG_LEVEL_ERROR);
    make_base();
    assert(mkdir(state, 0700) == 0);
    assert(mainline_new(config.repo, NULL, &world.mainline, NULL) == 0);
    config.mainline = world.mainline;
    config.table = world.front.table = node_table_new();
    assert(staging_new(&config, &world.staging, NULL) == 0);
    node_table_set_root(config.table, staging_root(world.staging));
    open_session();
    atexit(end_world);
}

/* ---- requests -------------------------------------------------------------------------------- */

/* What is left of the input. */
struct input {
    const uint8_t *at, *end;
};

static unsigned take(struct input *in)
{
    return in->at < in->end ? *in->at++ : 0;
}

static const char *take_name(struct input *in)
{
    return model_name(take(in));
}

/* The reply names a thing: the kernel knows it once more. */
static void know(struct thing *t, const struct fuse_entry_out *e)
{
    assert(e->nodeid && (!t->id || t->id == e->nodeid));
    assert(!t->ino || t->ino == e->attr.ino);
    t->id = e->nodeid;
    t->ino = e->attr.ino;
    t->lookups++;
    assert((e->attr.mode & S_IFMT) == t->type);
    assert(t->type == S_IFDIR || e->attr.size == t->size);
}

/* The answer to what should have ended with `expected`, and shown `t` if that is 0. */
static void expect_entry(int answer, int expected, struct thing *t)
{
    assert(answer == expected);
    if (answer == 0)
        know(t, (struct fuse_entry_out *)reply.body);
}

static void ask_lookup(struct model *m, struct input *in)
{
    struct thing *dir = model_known(m, take(in)), *t = NULL;
    const char *name = take_name(in);
    int expected = model_find(m, dir, name, &t);

    expect_entry(ASK(FUSE_LOOKUP, dir->id, STRING(name)), expected, t);
}

/* The kernel knows what it changes. */
static void look_before(struct model *m, struct thing *dir, const char *name)
{
    struct thing *t;

    if (model_find(m, dir, name, &t) == 0 && !t->id)
        expect_entry(ASK(FUSE_LOOKUP, dir->id, STRING(name)), 0, t);
}

static void ask_make(struct model *m, struct input *in)
{
    struct thing *dir = model_known(m, take(in)), *t = NULL;
    unsigned kind = take(in) % 4;
    const char *name = take_name(in);
    struct fuse_mknod_in mknod = {.mode = S_IFREG | 0644};
    struct fuse_create_in create = {.mode = S_IFREG | 0755, .flags = O_WRONLY | O_CREAT};
    struct fuse_mkdir_in mkdir = {.mode = 0755};
    static const mode_t types[] = {S_IFREG, S_IFREG, S_IFDIR, S_IFLNK};
    int expected = model_make(m, dir, name, types[kind], &t), r;

    if (kind == 0)
        r = ASK(FUSE_MKNOD, dir->id, PART(mknod), STRING(name));
    else if (kind == 1)
        r = ASK(FUSE_CREATE, dir->id, PART(create), STRING(name));
    else if (kind == 2)
        r = ASK(FUSE_MKDIR, dir->id, PART(mkdir), STRING(name));
    else
        r = ASK(FUSE_SYMLINK, dir->id, STRING(name), STRING(MODEL_TARGET));
    expect_entry(r, expected, t);
}

static void ask_remove(struct model *m, struct input *in)
{
    struct thing *dir = model_known(m, take(in));
    bool is_dir = take(in) % 2;
    const char *name = take_name(in);

    look_before(m, dir, name);
    int expected = model_remove(m, dir, name, is_dir);

    assert(ASK(is_dir ? FUSE_RMDIR : FUSE_UNLINK, dir->id, STRING(name)) == expected);
}

static void ask_rename(struct model *m, struct input *in)
{
    struct thing *from = model_known(m, take(in)), *to = model_known(m, take(in));
    struct fuse_rename2_in rename = {.newdir = to->id, .flags = take(in) % 3};
    const char *name = take_name(in), *to_name = take_name(in);

    look_before(m, from, name);
    look_before(m, to, to_name);
    int expected = model_rename(m, from, name, to, to_name, rename.flags);

    assert(ASK(FUSE_RENAME2, from->id, PART(rename), STRING(name), STRING(to_name)) == expected);
}

static void ask_write(struct model *m, struct input *in)
{
    struct thing *t = model_known(m, take(in));
    struct fuse_write_in write = {.offset = take(in) * 16, .size = take(in)};
    char data[256];

    memset(data, take(in), sizeof(data));
    if (t->type != S_IFREG) /* the kernel sends none */
        return;
    int r = ASK(FUSE_WRITE, t->id, PART(write), {data, write.size});
    assert(r == 0 && ((struct fuse_write_out *)reply.body)->size == write.size);
    model_write(t, data, write.size, write.offset);
}

static void ask_read(struct model *m, struct input *in)
{
    struct thing *t = model_known(m, take(in));
    struct fuse_read_in read = {.offset = take(in) * 16, .size = take(in) * 64};

    if (t->type != S_IFREG)
        return;
    size_t n = read.offset < t->size ? t->size - read.offset : 0;
    assert(ASK(FUSE_READ, t->id, PART(read)) == 0);
    assert(reply.len == (n < read.size ? n : read.size));
    assert(!reply.len || !memcmp(reply.body, t->data + read.offset, reply.len));
}

static void ask_size(struct model *m, struct input *in)
{
    struct thing *t = model_known(m, take(in));
    struct fuse_setattr_in set = {.valid = FATTR_SIZE, .size = take(in) * 16};

    if (t->type != S_IFREG)
        return;
    assert(ASK(FUSE_SETATTR, t->id, PART(set)) == 0);
    model_resize(t, set.size);
    assert(((struct fuse_attr_out *)reply.body)->attr.size == t->size);
}

static void ask_attr(struct model *m, struct input *in)
{
    struct thing *t = model_known(m, take(in));
    struct fuse_getattr_in get = {0};
    const struct fuse_attr *attr = &((struct fuse_attr_out *)reply.body)->attr;

    assert(ASK(FUSE_GETATTR, t->id, PART(get)) == 0);
    assert((attr->mode & S_IFMT) == t->type && attr->ino == t->ino);
    assert(t->type == S_IFDIR || attr->size == t->size);
}

static void ask_target(struct model *m, struct input *in)
{
    struct thing *t = model_known(m, take(in));
    int r = ASK(FUSE_READLINK, t->id);

    assert(r == (t->type == S_IFLNK ? 0 : -EINVAL));
    assert(r || (reply.len == t->size && !memcmp(reply.body, MODEL_TARGET, reply.len)));
}

/* One entry of a listing; with `plus`, the kernel knows it once more. */
static void see_entry(struct model *m, struct thing *dir, const struct fuse_dirent *d,
                      const struct fuse_entry_out *plus)
{
    _cleanup_free_ char *name = xstrndup(d->name, d->namelen);
    struct thing *t;

    if (!strcmp(name, ".") || !strcmp(name, ".."))
        return;
    assert(model_find(m, dir, name, &t) == 0 && !t->listed);
    t->listed = true;
    assert(d->type == t->type >> 12 && (!t->ino || d->ino == t->ino));
    if (plus && plus->nodeid)
        know(t, plus);
}

static void ask_list(struct model *m, struct input *in)
{
    struct thing *dir = model_known(m, take(in));
    bool plus = take(in) % 2;
    struct fuse_read_in read = {.size = 512 + take(in) * 16};

    model_unlist(m);
    if (dir->type != S_IFDIR)
        return;
    do {
        assert(ASK(plus ? FUSE_READDIRPLUS : FUSE_READDIR, dir->id, PART(read)) == 0);
        for (size_t at = 0; at < reply.len;) {
            struct fuse_entry_out *e = (void *)(reply.body + at);
            struct fuse_dirent *d = plus ? &((struct fuse_direntplus *)e)->dirent : (void *)e;
            see_entry(m, dir, d, plus ? e : NULL);
            read.offset = d->off;
            at += plus ? FUSE_DIRENTPLUS_SIZE((struct fuse_direntplus *)e) : FUSE_DIRENT_SIZE(d);
        }
    } while (reply.len);
    assert(model_is_listed(m, dir));
}

static void ask_forget(struct model *m, struct input *in)
{
    struct thing *t = model_known(m, take(in));
    struct fuse_forget_in forget = {1 + take(in)};

    if (!model_may_forget(m, t))
        return;
    forget.nlookup = forget.nlookup < t->lookups ? forget.nlookup : t->lookups;
    ASK(FUSE_FORGET, t->id, PART(forget));
    t->lookups -= forget.nlookup;
    if (!t->lookups)
        t->id = 0;
}

/* What does not change anything, of a node that is there or not, with any numbers. */
static void ask_other(struct model *m, struct input *in)
{
    static const uint32_t opcodes[] = {
        FUSE_STATFS,  FUSE_GETXATTR, FUSE_LISTXATTR,  FUSE_OPEN,   FUSE_SETXATTR,
        FUSE_LINK,    FUSE_FSYNCDIR, FUSE_FSYNC,      FUSE_ACCESS, FUSE_POLL,
        FUSE_LSEEK,   FUSE_BMAP,     FUSE_IOCTL,      FUSE_GETLK,  FUSE_FLUSH,
        FUSE_OPENDIR, FUSE_RELEASE,  FUSE_RELEASEDIR, 4000};
    unsigned opcode = take(in) % ARRAY_SIZE(opcodes), which = take(in);
    uint64_t id = which % 4 ? model_known(m, which)->id : 1000000007 + which;
    unsigned char body[96];

    for (size_t i = 0; i < sizeof(body); i++)
        body[i] = take(in);
    body[sizeof(body) - 1] = 0;
    ask(opcodes[opcode], id, &(struct iovec){body, sizeof(body)}, 1);
}

static void (*const asks[])(struct model *m, struct input *in) = {
    ask_lookup, ask_make, ask_remove, ask_rename, ask_write,  ask_read,
    ask_size,   ask_attr, ask_target, ask_list,   ask_forget, ask_other,
};

/* ---- one input ------------------------------------------------------------------------------- */

static uint64_t look_up(uint64_t dir, const char *name)
{
    assert(ASK(FUSE_LOOKUP, dir, STRING(name)) == 0);
    return ((struct fuse_entry_out *)reply.body)->nodeid;
}

static void forget(uint64_t id)
{
    struct fuse_forget_in once = {1};

    ASK(FUSE_FORGET, id, PART(once));
}

static void drop_workspace(uint64_t id)
{
    static const char order[] = "force\n";
    uint64_t dir = look_up(id, ".onward"), drop = look_up(dir, "drop");
    struct fuse_write_in write = {.size = strlen(order)};

    assert(ASK(FUSE_WRITE, drop, PART(write), {(void *)order, strlen(order)}) == 0);
    forget(drop);
    forget(dir);
}

static void forget_thing(struct thing *t)
{
    struct fuse_forget_in all = {t->lookups};

    if (t->id)
        ASK(FUSE_FORGET, t->id, PART(all));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = {data, data + size};
    struct fuse_mkdir_in mkdir = {.mode = 0755};
    struct model m;

    if (!world.staging)
        make_world();
    model_base(&m);
    assert(ASK(FUSE_MKDIR, FUSE_ROOT_ID, PART(mkdir), STRING(WORKSPACE)) == 0);
    know(m.root, (struct fuse_entry_out *)reply.body);
    while (in.at < in.end)
        asks[take(&in) % ARRAY_SIZE(asks)](&m, &in);
    drop_workspace(m.root->id);
    model_each(&m, forget_thing);
    model_done(&m);
    return 0;
}
