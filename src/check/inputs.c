#include "check/inputs.h"

#include <pthread.h>

#include "base/glob.h"
#include "base/map.h"
#include "repo/diff.h"

#define KNOWN_MOST  16   /* trees that are remembered for a check */
#define DIFFER_MOST 1000 /* paths in which two may differ to be compared */

struct known {
    struct oid tree, as;
};

/* The last trees of one check; the oldest makes room. */
struct seen {
    struct known v[KNOWN_MOST];
    size_t n, next;
};

struct inputs {
    struct repo *repo;
    pthread_mutex_t lock; /* guards what follows */
    struct map checks;    /* name -> struct seen */
};

struct inputs *inputs_new(struct repo *repo)
{
    struct inputs *in = NEW(struct inputs);

    in->repo = repo;
    pthread_mutex_init(&in->lock, NULL);
    return in;
}

void inputs_free(struct inputs *in)
{
    if (!in)
        return;
    map_done(&in->checks, free);
    pthread_mutex_destroy(&in->lock);
    free(in);
}

bool check_looks_at(const struct check_config *check, const char *path)
{
    for (size_t i = 0; i < check->paths.n; i++)
        if (glob_match(check->paths.v[i], path))
            return true;
    return !check->paths.n;
}

struct comparison {
    const struct check_config *check;
    int differ;
};

static int on_change(const struct change *c, void *arg)
{
    struct comparison *x = arg;

    return check_looks_at(x->check, c->path) || ++x->differ > DIFFER_MOST;
}

/* Trees that cannot be compared are different. */
static bool is_same(struct inputs *in, const struct check_config *check, const struct oid *a,
                    const struct oid *b)
{
    struct comparison x = {.check = check};

    return oid_equal(a, b) || diff_changes(in->repo, a, b, on_change, &x) == 0;
}

static struct seen recall(struct inputs *in, const char *check)
{
    pthread_mutex_lock(&in->lock);
    const struct seen *s = map_get(&in->checks, check);
    struct seen copy = s ? *s : (struct seen){0};
    pthread_mutex_unlock(&in->lock);
    return copy;
}

static void remember(struct inputs *in, const char *check, const struct known *k)
{
    pthread_mutex_lock(&in->lock);
    struct seen *s = map_get(&in->checks, check);
    if (!s) {
        s = NEW(struct seen);
        map_put(&in->checks, check, s);
    }
    s->v[s->next] = *k;
    s->next = (s->next + 1) % KNOWN_MOST;
    s->n += s->n < KNOWN_MOST;
    pthread_mutex_unlock(&in->lock);
}

/* The `i`th newest. */
static const struct known *newest(const struct seen *s, size_t i)
{
    return &s->v[(s->next + KNOWN_MOST - 1 - i) % KNOWN_MOST];
}

struct oid inputs_of(struct inputs *in, const struct check_config *check, const struct oid *tree)
{
    struct seen seen = recall(in, check->name);
    struct known k = {.tree = *tree, .as = *tree};

    if (!check->paths.n)
        return *tree;
    for (size_t i = 0; i < seen.n; i++)
        if (oid_equal(&seen.v[i].tree, tree))
            return seen.v[i].as;
    for (size_t i = 0; i < seen.n && oid_equal(&k.as, tree); i++)
        if (is_same(in, check, &newest(&seen, i)->tree, tree))
            k.as = newest(&seen, i)->as;
    remember(in, check->name, &k);
    return k.as;
}
