#include "mount/prefetch.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/metric.h"

#define STREAMS       16 /* more than a tree is deep and readers are many */
#define WINDOW_FIRST  8
#define WINDOW_MOST   64
#define WINDOW_BYTES  (4u << 20)
#define LEAD          1  /* files behind the one being read that are left to the reader */
#define PASS_OVER     64 /* empty and large files in a row */
#define ROW           2  /* files that must follow the first before anything is pushed */
#define PROMPT        8  /* reads, of anything, within which each must */
#define TRUST_ENOUGH  2  /* directories read in sequence */
#define UNPROVEN_MOST 4  /* windows pushed on trust, not yet of use */

struct stream {
    uint64_t used;    /* when: by `clock`; 0: free */
    uint64_t expect;  /* the file whose READ goes on with it; 0: none */
    unsigned row;     /* how many files followed promptly */
    unsigned window;  /* how many files the last window was to have; 0: BEGUN */
    bool on_trust;    /* the window was pushed although one file only had been read */
    unsigned n, next; /* of ids; those from `next` on have yet to be pushed */
    uint64_t ids[WINDOW_MOST];
    uint64_t pushed; /* bits: those that the kernel has taken */
};

struct prefetch {
    struct node_table *table;
    int (*push)(uint64_t id, const void *data, size_t len, void *arg);
    void *arg;
    int64_t *pushed; /* METRIC_PREFETCHED_FILES */
    char *content;   /* PREFETCH_SIZE bytes; the worker's */
    pthread_mutex_t lock;
    pthread_cond_t work;
    pthread_t thread;
    bool stopped, joined;
    struct stream streams[STREAMS];
    uint64_t clock;
    uint64_t pushing; /* id that the worker is at */
    bool overtaken;   /* …and that the kernel has asked for meanwhile */
    unsigned trust, unproven;
};

/* The size of a file that may be pushed, or 0. */
static size_t size_of(struct node *node)
{
    struct stat st = {0};

    if (!(node->ops->flags & NODE_PREFETCH) || node->ops->getattr(node, &st) < 0 ||
        st.st_size > PREFETCH_SIZE)
        return 0;
    return st.st_size;
}

/* The id of the file behind or before `id`; 0 if there is none. `ret_size` gets its size. */
static uint64_t neighbour(struct prefetch *p, uint64_t id, int step, size_t *ret_size)
{
    for (int passed_over = 0; passed_over < PASS_OVER; passed_over++) {
        _cleanup_(node_unrefp) struct node *n =
            node_table_neighbour(p->table, id, step, NODE_PREFETCH, &id);
        if (!n)
            return 0;
        *ret_size = size_of(n);
        if (*ret_size)
            return id;
    }
    return 0;
}

/* Makes the window behind `id`: up to s->window files, and the one behind them to be expected. */
static void open_window(struct prefetch *p, struct stream *s, uint64_t id)
{
    size_t bytes = 0, size;

    s->n = 0;
    s->next = LEAD;
    s->pushed = 0;
    while ((id = neighbour(p, id, 1, &size))) {
        if (s->n == s->window || bytes + size > WINDOW_BYTES)
            break;
        s->ids[s->n++] = id;
        bytes += size;
    }
    s->expect = id ? id : s->n ? s->ids[--s->n] : 0;
    if (s->next < s->n)
        pthread_cond_signal(&p->work);
}

/* The file that was expected has been read. */
static void go_on(struct prefetch *p, struct stream *s, uint64_t id)
{
    if (s->window) {
        s->window = s->window < WINDOW_MOST ? s->window * 2 : WINDOW_MOST;
    } else {
        s->row = p->clock - s->used <= PROMPT ? s->row + 1 : 0;
        if (s->row >= ROW)
            s->window = WINDOW_FIRST;
        if (s->row == ROW && p->trust < TRUST_ENOUGH)
            p->trust++;
    }
    if (s->on_trust)
        p->unproven = 0;
    s->on_trust = false;
    open_window(p, s, id);
}

static void start_over(struct prefetch *p, struct stream *s, uint64_t id)
{
    s->window = s->row = 0;
    open_window(p, s, id);
}

/* The file at `i` of the window has been asked for. */
static void catch_up(struct prefetch *p, struct stream *s, unsigned i)
{
    if (s->pushed >> i & 1)
        start_over(p, s, s->ids[i]);
    else if (s->ids[i] == p->pushing)
        p->overtaken = true;
    else if (i >= s->next)
        s->next = i + 1 + LEAD;
}

static void begin(struct prefetch *p, uint64_t id)
{
    struct stream *s = p->streams;
    size_t size;

    for (struct stream *other = s; other < p->streams + STREAMS; other++)
        if (other->used < s->used)
            s = other;
    *s = (struct stream){.used = ++p->clock};
    if (neighbour(p, id, -1, &size)) {
        p->trust = 0;
    } else if (p->trust == TRUST_ENOUGH && p->unproven < UNPROVEN_MOST) {
        p->unproven++;
        s->on_trust = true;
        s->window = WINDOW_FIRST;
    }
    open_window(p, s, id);
}

/* The stream that `id` belongs to, and where: its place in the window, or n if it is expected. */
static struct stream *find_stream(struct prefetch *p, uint64_t id, unsigned *ret_at)
{
    for (struct stream *s = p->streams; s < p->streams + STREAMS; s++) {
        *ret_at = s->n;
        if (s->expect == id)
            return s;
        if (!s->n || id < s->ids[0] || id > s->ids[s->n - 1])
            continue;
        for (unsigned i = 0; i < s->n; i++)
            if (s->ids[ *ret_at = i] == id)
                return s;
    }
    return NULL;
}

void prefetch_saw_read(struct prefetch *p, struct node *node, uint64_t id)
{
    unsigned at;

    if (!size_of(node))
        return;
    pthread_mutex_lock(&p->lock);
    struct stream *s = find_stream(p, id, &at);
    if (!s) {
        begin(p, id);
    } else {
        p->clock++;
        if (at < s->n)
            catch_up(p, s, at);
        else
            go_on(p, s, id);
        s->used = p->clock;
    }
    pthread_mutex_unlock(&p->lock);
}

/* The stream that was read last, of those that have something to push. */
static struct stream *next_stream(struct prefetch *p)
{
    struct stream *best = NULL;

    for (struct stream *s = p->streams; s < p->streams + STREAMS; s++)
        if (s->next < s->n && (!best || s->used > best->used))
            best = s;
    return best;
}

static bool is_overtaken(struct prefetch *p)
{
    pthread_mutex_lock(&p->lock);
    bool overtaken = p->overtaken || p->stopped;
    pthread_mutex_unlock(&p->lock);
    return overtaken;
}

/* Pushes one file: 1, 0 if it is left for the kernel to ask for, or the kernel's error. */
static int push(struct prefetch *p, uint64_t id)
{
    _cleanup_(node_unrefp) struct node *node = node_table_get(p->table, id);

    if (!node)
        return -ENOENT;
    size_t size = size_of(node);
    if (!size || node->ops->read(node, p->content, size, 0) != (ssize_t)size || is_overtaken(p))
        return 0;
    int r = p->push(id, p->content, size, p->arg);
    if (r < 0)
        return r;
    metric_bump(p->pushed, 1);
    return 1;
}

/* What became of the push of ids[at], which was `id`; the stream may be another by now. */
static void note_push(struct stream *s, unsigned at, uint64_t id, int r)
{
    if (at >= s->n || s->ids[at] != id)
        return;
    if (r > 0)
        s->pushed |= UINT64_C(1) << at;
    if (r == -ENOENT)
        s->n = s->next = 0; /* the kernel has forgotten the directory */
}

static void *prefetch_run(void *arg)
{
    struct prefetch *p = arg;

    pthread_setname_np(pthread_self(), "prefetch");
    pthread_mutex_lock(&p->lock);
    while (!p->stopped) {
        struct stream *s = next_stream(p);
        if (!s) {
            pthread_cond_wait(&p->work, &p->lock);
            continue;
        }
        unsigned at = s->next++;
        uint64_t id = p->pushing = s->ids[at];
        p->overtaken = false;
        pthread_mutex_unlock(&p->lock);
        int r = push(p, id);
        pthread_mutex_lock(&p->lock);
        p->pushing = 0;
        note_push(s, at, id, r);
    }
    pthread_mutex_unlock(&p->lock);
    return NULL;
}

int prefetch_new(struct node_table *table,
                 int (*push_file)(uint64_t id, const void *data, size_t len, void *arg), void *arg,
                 struct prefetch **ret)
{
    struct prefetch *p = NEW(struct prefetch);

    p->table = table;
    p->push = push_file;
    p->arg = arg;
    p->pushed = metric_counter(METRIC_PREFETCHED_FILES, NULL);
    p->content = xmalloc(PREFETCH_SIZE);
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->work, NULL);
    int r = -pthread_create(&p->thread, NULL, prefetch_run, p);
    if (r < 0) {
        p->joined = true;
        prefetch_free(p);
        return r;
    }
    *ret = p;
    return 0;
}

void prefetch_stop(struct prefetch *p)
{
    pthread_mutex_lock(&p->lock);
    p->stopped = true;
    pthread_cond_signal(&p->work);
    bool join = !p->joined;
    p->joined = true;
    pthread_mutex_unlock(&p->lock);
    if (join)
        pthread_join(p->thread, NULL);
}

void prefetch_free(struct prefetch *p)
{
    if (!p)
        return;
    prefetch_stop(p);
    pthread_cond_destroy(&p->work);
    pthread_mutex_destroy(&p->lock);
    free(p->content);
    free(p);
}
