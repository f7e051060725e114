#include "deploy/roster.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"

static void facts_done(struct roster_facts *f)
{
    site_track_done(&f->track);
    free(f->retry_by);
}

static void site_free(void *site)
{
    struct roster_site *s = site;

    facts_done(&s->facts);
    free(s->name);
    free(s->broken);
    free(s->problem);
    free(s->depends_on);
    site_status_unref(s->shown);
    free(s);
}

void roster_done(struct roster *r)
{
    map_done(&r->by_name, site_free);
    free(r->v);
    declaration_unref(r->declaration);
    free(r->rollouts.v);
    free(r->touched.v);
    free(r->plan);
    *r = (struct roster){0};
}

/* ---- reading the ledger ---------------------------------------------------------------------- */

static void load_track(struct roster_site *s, struct ledger *ledger)
{
    struct site_track track = {0};
    _cleanup_(diag_done) struct diag why = {0};
    int r = site_track_load(ledger, s->name, clock_real(), clock_mono(), &track, &why);

    free(s->broken);
    s->broken = NULL;
    if (r < 0) {
        s->broken = xasprintf("its history in the ledger cannot be read: %s", diag_text(&why, r));
        log_error("ledger-broken", "site=%s reason=\"%s\"", s->name, diag_text(&why, r));
        return;
    }
    site_track_done(&s->facts.track);
    s->facts.track = track;
}

static struct roster_site *get(struct roster *r, const char *name, struct ledger *ledger)
{
    struct roster_site *s = map_get(&r->by_name, name);

    if (s)
        return s;
    s = NEW(struct roster_site);
    s->name = xstrdup(name);
    s->backend = -1;
    load_track(s, ledger);
    map_put(&r->by_name, name, s);
    return s;
}

void roster_reload(struct roster *r, struct ledger *ledger)
{
    map_foreach (it, &r->by_name) {
        struct roster_site *s = it->value;
        if (!s->facts.attempt)
            load_track(s, ledger);
    }
}

/* ---- following the declaration --------------------------------------------------------------- */

static int find_backend(const struct roster_backends *backends, const char *name)
{
    for (size_t i = 0; name && i < backends->n; i++)
        if (!strcmp(backends->v[i].name, name))
            return i;
    return -1;
}

/* Why a site cannot move whatever happens; NULL: nothing. */
static char *find_problem(const struct roster_site *s)
{
    const struct target *t = s->target;

    if (!t)
        return xstrdup("it is not declared");
    if (t->problem)
        return xstrdup(t->problem);
    if (!t->site->backend)
        return xstrdup("onward.yaml names no backend for it");
    if (s->backend < 0)
        return xasprintf("this host's configuration has no backend \"%s\"", t->site->backend);
    return NULL;
}

static void set_target(struct roster_site *s, const struct target *t,
                       const struct roster_backends *backends)
{
    static const struct target none;
    const struct target *now = t ? t : &none;

    if (!oid_equal(&s->desired, &now->desired) || !oid_equal(&s->inputs, &now->inputs))
        s->desired_at = clock_mono();
    s->desired = now->desired;
    s->inputs = now->inputs;
    s->target = t;
    s->backend = t ? find_backend(backends, t->site->backend) : -1;
    free(s->problem);
    s->problem = find_problem(s);
}

static void resolve_dependencies(struct roster *r, struct roster_site *s)
{
    const struct site *site = s->target->site;

    free(s->depends_on);
    s->depends_on = xcalloc(site->depends_on.n, sizeof(*s->depends_on));
    for (size_t i = 0; i < site->depends_on.n; i++) {
        const struct roster_site *on = roster_find(r, site->depends_on.v[i]);
        s->depends_on[i] = on ? on->index : PLAN_NO_SITE;
    }
}

/* ---- rollouts -------------------------------------------------------------------------------- */

static int by_id(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(struct oid));
}

/* The revisions that are desired, in their order. */
static void list_rollouts(struct roster *r)
{
    size_t n = 0;

    r->rollouts.n = 0;
    for (size_t i = 0; i < r->ndeclared; i++) {
        const struct oid *desired = &r->v[i]->desired;
        bool again = r->rollouts.n && oid_equal(desired, &r->rollouts.v[r->rollouts.n - 1]);
        if (!again && !oid_is_zero(desired))
            *VEC_ADD(&r->rollouts) = *desired;
    }
    if (r->rollouts.n)
        qsort(r->rollouts.v, r->rollouts.n, sizeof(*r->rollouts.v), by_id);
    for (size_t i = 0; i < r->rollouts.n; i++)
        if (!i || !oid_equal(&r->rollouts.v[i], &r->rollouts.v[n - 1]))
            r->rollouts.v[n++] = r->rollouts.v[i];
    r->rollouts.n = n;
}

/* Numbers the revisions that are desired. */
static void number_rollouts(struct roster *r)
{
    const struct oid *at = NULL, *all;

    list_rollouts(r);
    all = r->rollouts.v;
    for (size_t i = 0; i < r->ndeclared; i++) {
        struct roster_site *s = r->v[i];
        s->rollout = WAVES_NONE;
        if (oid_is_zero(&s->desired))
            continue;
        if (!at || !oid_equal(at, &s->desired))
            at = bsearch(&s->desired, all, r->rollouts.n, sizeof(*all), by_id);
        s->rollout = at - all;
    }
}

static bool has_label(const struct site *site, const struct label *wanted)
{
    vec_foreach (l, &site->labels)
        if (!strcmp(l->key, wanted->key))
            return !strcmp(l->value, wanted->value);
    return false;
}

/* Whether the wave's labels say that it takes the site. */
static bool labels_fit(const struct wave *w, const struct site *site)
{
    vec_foreach (l, &w->match)
        if (!has_label(site, l))
            return false;
    return w->match.n || !w->sites.n;
}

static void fit_into_waves(struct roster *r, const struct declaration *d)
{
    for (size_t i = 0; i < r->ndeclared; i++)
        r->v[i]->waves = 0;
    for (size_t k = 0; d && k < d->waves.n; k++) {
        const struct wave *w = &d->waves.v[k];
        for (size_t i = 0; i < r->ndeclared; i++)
            if (labels_fit(w, r->v[i]->target->site))
                r->v[i]->waves |= UINT64_C(1) << k;
        vec_foreach (name, &w->sites) {
            struct roster_site *s = roster_find(r, *name);
            if (s)
                s->waves |= UINT64_C(1) << k;
        }
    }
}

/* ---- who is known ---------------------------------------------------------------------------- */

static void list_site(struct roster *r, struct roster_site *s)
{
    s->index = r->n;
    *VEC_ADD(r) = s;
}

struct others {
    struct roster *roster;
    struct ledger *ledger;
};

static int know(const char *name, void *arg)
{
    struct others *o = arg;

    get(o->roster, name, o->ledger);
    return 0;
}

/* Sites that are no longer declared, but whose last attempt still needs an end in the ledger. */
static void list_others(struct roster *r)
{
    map_foreach (it, &r->by_name) {
        struct roster_site *s = it->value;
        if (!s->target && s->facts.track.phase == TRACK_OPEN)
            list_site(r, s);
    }
}

/* Takes in what the same declaration asks for now: no site came or went, or depends on others. */
static void follow_revisions(struct roster *r, const struct targets *targets,
                             const struct roster_backends *backends)
{
    r->n = r->ndeclared;
    for (size_t i = 0; i < r->ndeclared; i++)
        set_target(r->v[i], &targets->v[i], backends);
    number_rollouts(r);
}

static void follow_declaration(struct roster *r, const struct targets *targets,
                               const struct roster_backends *backends, struct ledger *ledger)
{
    map_foreach (it, &r->by_name) {
        ((struct roster_site *)it->value)->target = NULL;
    }
    r->n = 0;
    vec_foreach (t, targets) {
        struct roster_site *s = get(r, t->site->name, ledger);
        set_target(s, t, backends);
        list_site(r, s);
    }
    r->ndeclared = r->n;
    declaration_unref(r->declaration);
    r->declaration = targets->declaration ? declaration_ref(targets->declaration) : NULL;
    for (size_t i = 0; i < r->ndeclared; i++)
        resolve_dependencies(r, r->v[i]);
    number_rollouts(r);
    fit_into_waves(r, targets->declaration);
}

void roster_follow(struct roster *r, const struct targets *targets,
                   const struct roster_backends *backends, struct ledger *ledger)
{
    bool first = !r->by_name.live;

    if (r->declaration && r->declaration == targets->declaration)
        follow_revisions(r, targets, backends);
    else
        follow_declaration(r, targets, backends, ledger);
    if (first)
        ledger_sites(ledger, know, &(struct others){r, ledger});
    map_foreach (it, &r->by_name) {
        struct roster_site *s = it->value;
        if (!s->target)
            set_target(s, NULL, backends);
    }
    list_others(r);
}

struct roster_site *roster_find(const struct roster *r, const char *name)
{
    struct roster_site *s = map_get(&r->by_name, name);

    return s && s->target ? s : NULL;
}

struct attempt *roster_attempt(const struct roster_site *s)
{
    return s->facts.attempt ? s->facts.attempt : s->facts.observation;
}

/* What this process, or another one, does for it. */
static void plan_calls(const struct roster_site *s, bool others, struct plan_site *out)
{
    const struct attempt *a = roster_attempt(s);

    if (a) {
        out->attempt = a == s->facts.attempt;
        out->call = a->call;
        out->stopping = a->stopping;
        out->health_at = a->health_at;
        out->health_until = a->health_until;
    } else if (others && s->facts.track.phase == TRACK_OPEN) {
        out->attempt = true;
        out->call = VERB_APPLY;
    }
    out->observed_at = s->observed_at;
    out->observable = s->unobservable != s->facts.track.generation;
}

const struct plan_site *roster_plan(struct roster *r, bool others)
{
    if (r->n > r->plan_room) {
        free(r->plan);
        r->plan = xcalloc(r->n, sizeof(*r->plan));
        r->plan_room = r->n;
    }
    struct plan_site *out = r->plan;
    for (size_t i = 0; i < r->n; i++) {
        const struct roster_site *s = r->v[i];
        const struct site *site = s->target ? s->target->site : NULL;
        out[i] = (struct plan_site){
            .name = s->name,
            .desired = s->desired,
            .inputs = s->inputs,
            .desired_at = s->desired_at,
            .rollout = site ? s->rollout : WAVES_NONE,
            .waves = s->waves,
            .backend = s->backend,
            .suspend = site && site->suspend,
            .self_heal = site && site->self_heal,
            .problem_kind = s->broken    ? "verification"
                            : s->problem ? "declaration"
                                         : NULL,
            .problem = s->broken ? s->broken : s->problem,
            .depends_names = site ? (const char *const *)site->depends_on.v : NULL,
            .depends_on = s->depends_on,
            .ndepends = site ? site->depends_on.n : 0,
            .track = &s->facts.track,
            .retry_asked = s->facts.retry_by != NULL,
        };
        plan_calls(s, others, &out[i]);
    }
    return out;
}

/* ---- transactions ---------------------------------------------------------------------------- */

void roster_touch(struct roster *r, struct roster_site *s)
{
    if (s->saved)
        return;
    s->saved = NEW(struct roster_facts);
    site_track_copy(&s->facts.track, &s->saved->track);
    s->saved->attempt = s->facts.attempt;
    s->saved->observation = s->facts.observation;
    s->saved->retry_by = xstrdup_or_null(s->facts.retry_by);
    *VEC_ADD(&r->touched) = s;
}

static void end_transaction(struct roster *r, bool keep)
{
    vec_foreach (p, &r->touched) {
        struct roster_site *s = *p;
        struct roster_facts *drop = keep ? s->saved : &s->facts;
        facts_done(drop);
        if (!keep)
            s->facts = *s->saved;
        free(TAKE(s->saved));
    }
    r->touched.n = 0;
}

void roster_commit(struct roster *r)
{
    end_transaction(r, true);
}

void roster_rollback(struct roster *r)
{
    end_transaction(r, false);
}
