#include "repo/mainline.h"

#include <errno.h>
#include <pthread.h>
#include <sys/stat.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "repo/checkout.h"
#include "repo/history.h"
#include "repo/revision.h"

/* Two locks. `refreshing` is held while the refs are read and put in place, so that an older list
 * never replaces a newer one. `lock` guards the fields, for moments only; it is never held over
 * I/O, so mainline_head() never waits for the disk. Neither is held while the listener runs. */
struct mainline {
    struct repo *repo;
    pthread_mutex_t refreshing;

    pthread_mutex_t lock;
    char *wanted; /* the configured branch's full name, or NULL */
    char *ref;
    bool settled; /* it has had a revision: the choice stays */
    struct refs *refs;
    int64_t changed_at;

    void (*changed)(void *arg);
    void *arg;
    uint64_t news, told; /* changes taken in; of these, told to the listener */
    bool telling;
    pthread_t teller;
    pthread_cond_t told_more;
};

static struct oid target_of(const struct refs *refs, const char *name)
{
    const struct ref *ref = name ? refs_find(refs, name) : NULL;

    return ref ? ref->target : (struct oid){0};
}

/* The branch that `refs` and HEAD make the mainline. The caller frees. */
static char *choose(struct mainline *m, const struct refs *refs)
{
    struct oid main = target_of(refs, "refs/heads/main");
    char *head;

    if (m->wanted)
        return xstrdup(m->wanted);
    if (!oid_is_zero(&main) || ref_head_branch(m->repo, &head) < 0)
        return xstrdup("refs/heads/main");
    return head;
}

static bool same_refs(const struct refs *a, const struct refs *b)
{
    if (a->n != b->n)
        return false;
    for (size_t i = 0; i < a->n; i++)
        if (!oid_equal(&a->v[i].target, &b->v[i].target) || strcmp(a->v[i].name, b->v[i].name))
            return false;
    return true;
}

/* Takes the list over. Under `refreshing`. */
static void put_in_place(struct mainline *m, struct refs *refs)
{
    char *ref = m->settled ? xstrdup(m->ref) : choose(m, refs);
    struct oid head = target_of(refs, ref);

    pthread_mutex_lock(&m->lock);
    bool news = !m->refs || !same_refs(m->refs, refs) || strcmp(m->ref, ref);
    struct refs *old = m->refs;
    char *old_ref = m->ref;
    m->refs = refs;
    m->ref = ref;
    m->settled |= !oid_is_zero(&head);
    if (news && old) {
        int64_t now = clock_real();
        m->changed_at = now > m->changed_at ? now : m->changed_at + 1;
        m->news++;
    }
    pthread_mutex_unlock(&m->lock);
    refs_unref(old);
    free(old_ref);
}

/* Under `lock`, which it lets go while the listener runs. */
static void tell_once(struct mainline *m)
{
    void (*changed)(void *) = m->changed;
    void *arg = m->arg;
    uint64_t news = m->news;

    m->telling = true;
    m->teller = pthread_self();
    pthread_mutex_unlock(&m->lock);
    if (changed)
        changed(arg);
    pthread_mutex_lock(&m->lock);
    m->telling = false;
    m->told = news;
    pthread_cond_broadcast(&m->told_more);
}

/* Returns when the listener knows of every change that was taken in before the call. One thread
 * tells at a time and the others wait for it; except the teller itself, when its listener comes
 * back here: its own loop, which looks at `news` after each round, tells again. */
static void tell(struct mainline *m)
{
    pthread_mutex_lock(&m->lock);
    uint64_t until = m->telling && pthread_equal(m->teller, pthread_self()) ? 0 : m->news;
    while (m->told < until)
        if (m->telling) {
            pthread_cond_wait(&m->told_more, &m->lock);
        } else {
            tell_once(m);
            until = m->news;
        }
    pthread_mutex_unlock(&m->lock);
}

int mainline_refresh(struct mainline *m, struct diag *reterr)
{
    struct refs *refs;

    pthread_mutex_lock(&m->refreshing);
    int r = refs_reload(m->repo, m->refs, &refs, reterr);
    if (r == 0)
        put_in_place(m, refs);
    pthread_mutex_unlock(&m->refreshing);
    tell(m);
    return r;
}

/* Stable over mounts: the time of head, or of the repository when there is no head. */
static int64_t first_change(struct mainline *m)
{
    _cleanup_free_ char *config = xasprintf("%s/config", repo_common_dir(m->repo));
    struct revision_brief brief;
    struct oid head;
    struct stat st;

    if (mainline_head(m, &head) == 0 && revision_brief(m->repo, &head, &brief) == 0)
        return brief.time * NS_PER_SEC;
    return stat(config, &st) == 0 ? clock_ns(st.st_mtim) : clock_real();
}

/* The first list has none before it to be held against: what it says of the mainline is asked for
 * by name. */
static int look_up_head(struct mainline *m, struct diag *reterr)
{
    struct oid listed = target_of(m->refs, m->ref), head = {0};
    int r = ref_check(m->repo, m->ref, reterr);

    if (r == 0)
        r = ref_read(m->repo, m->ref, &head);
    if (r < 0 && r != -ENOENT)
        return diag_prefix(reterr, r, "the mainline");
    return oid_equal(&listed, &head) ? 0 : mainline_refresh(m, reterr);
}

int mainline_new(struct repo *repo, const char *branch, struct mainline **ret, struct diag *reterr)
{
    _cleanup_(mainline_freep) struct mainline *m = NEW(struct mainline);

    m->repo = repo;
    m->wanted = branch ? xasprintf("refs/heads/%s", branch) : NULL;
    pthread_mutex_init(&m->refreshing, NULL);
    pthread_mutex_init(&m->lock, NULL);
    pthread_cond_init(&m->told_more, NULL);
    int r = mainline_refresh(m, reterr);
    if (r == 0)
        r = look_up_head(m, reterr);
    if (r < 0)
        return r;
    m->changed_at = first_change(m);
    *ret = TAKE(m);
    return 0;
}

void mainline_free(struct mainline *m)
{
    if (!m)
        return;
    refs_unref(m->refs);
    pthread_mutex_destroy(&m->refreshing);
    pthread_mutex_destroy(&m->lock);
    pthread_cond_destroy(&m->told_more);
    free(m->wanted);
    free(m->ref);
    free(m);
}

void mainline_listen(struct mainline *m, void (*changed)(void *arg), void *arg)
{
    pthread_mutex_lock(&m->lock);
    m->changed = changed;
    m->arg = arg;
    pthread_mutex_unlock(&m->lock);
}

int mainline_head(struct mainline *m, struct oid *ret)
{
    pthread_mutex_lock(&m->lock);
    struct oid head = target_of(m->refs, m->ref);
    pthread_mutex_unlock(&m->lock);
    if (oid_is_zero(&head))
        return -ENOENT;
    *ret = head;
    return 0;
}

char *mainline_ref(struct mainline *m)
{
    pthread_mutex_lock(&m->lock);
    char *ref = xstrdup(m->ref);
    pthread_mutex_unlock(&m->lock);
    return ref;
}

struct refs *mainline_refs(struct mainline *m)
{
    pthread_mutex_lock(&m->lock);
    struct refs *refs = refs_ref(m->refs);
    pthread_mutex_unlock(&m->lock);
    return refs;
}

int64_t mainline_changed_at(struct mainline *m)
{
    pthread_mutex_lock(&m->lock);
    int64_t at = m->changed_at;
    pthread_mutex_unlock(&m->lock);
    return at;
}

int mainline_advance(struct mainline *m, const struct oid *from, const struct oid *to,
                     const char *why, struct diag *reterr)
{
    _cleanup_(checkouts_freep) struct checkouts *checkouts = NULL;
    _cleanup_(diag_done) struct diag later = {0};
    _cleanup_free_ char *ref = mainline_ref(m);
    int r = oid_is_zero(from) ? 1 : history_is_ancestor(m->repo, from, to);

    if (r < 0)
        return diag_fail(reterr, r, "cannot read the history of %s: %s", ref, strerrordesc_np(-r));
    if (r == 0)
        return diag_fail(reterr, -EINVAL, "%s only moves forward", ref);
    r = checkouts_find(m->repo, ref, &checkouts, reterr);
    if (r == 0)
        r = checkouts_try(checkouts, from, to, reterr);
    if (r == 0)
        r = ref_update(m->repo, ref, from, to, why, reterr);
    if (r < 0)
        return r;
    checkouts_follow(checkouts, from, to);
    /* The branch has moved, whatever happens now. */
    r = mainline_refresh(m, &later);
    if (r < 0)
        log_error("refs-unreadable", "reason=\"%s\"", diag_text(&later, r));
    return 0;
}
