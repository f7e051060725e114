#include "deploy/waves.h"

#include <assert.h>
#include <stdlib.h>

const char *wave_phase_name(enum wave_phase phase)
{
    static const char *const names[WAVE_PHASES] = {
        [WAVE_WAITING] = "waiting", [WAVE_MOVING] = "moving", [WAVE_SOAKING] = "soaking",
        [WAVE_STOPPED] = "stopped", [WAVE_DONE] = "done",
    };

    return names[phase];
}

/* One rollout in the making. */
struct rollout {
    const struct waves_input *in;
    const size_t *members; /* sites, in the order of their names */
    size_t n;
    unsigned char *wave; /* of each site */
    bool *placed;        /* each site */
};

/* ---- who is in which wave ---------------------------------------------------------------------
 */

/* How many sites a wave takes. */
static size_t quota(const struct rollout *r, size_t wave)
{
    const struct wave *w = &r->in->waves[wave];

    if (wave == r->in->nwaves - 1 || (!w->count && !w->share))
        return r->n;
    return w->count ? (size_t)w->count : (r->n * w->share + 99) / 100;
}

static bool takes(const struct rollout *r, size_t wave, size_t site)
{
    return !r->placed[site] && (wave == r->in->nwaves - 1 || (r->in->sites[site].fits >> wave & 1));
}

enum turn { TURN_BEGUN, TURN_FRESH, TURN_PASSED };

static enum turn turn_of(enum standing standing)
{
    switch (standing) {
    case STANDING_FRESH:
        return TURN_FRESH;
    case STANDING_PASSED:
        return TURN_PASSED;
    default:
        return TURN_BEGUN;
    }
}

/* Puts those whose turn it is into the wave, as long as it has room. */
static void fill(struct rollout *r, size_t wave, enum turn turn, size_t *room)
{
    for (size_t i = 0; i < r->n && *room; i++) {
        size_t site = r->members[i];
        if (turn_of(r->in->sites[site].standing) != turn || !takes(r, wave, site))
            continue;
        r->wave[site] = wave;
        r->placed[site] = true;
        *room -= turn != TURN_PASSED;
    }
}

static void place(struct rollout *r)
{
    for (size_t wave = 0; wave < r->in->nwaves; wave++) {
        size_t room = quota(r, wave), any = 1;
        fill(r, wave, TURN_BEGUN, &room);
        fill(r, wave, TURN_FRESH, &room);
        fill(r, wave, TURN_PASSED, &any);
    }
}

/* ---- how far they are -------------------------------------------------------------------------
 */

static void count(const struct rollout *r, struct wave_view *views)
{
    for (size_t i = 0; i < r->n; i++) {
        const struct wave_site *s = &r->in->sites[r->members[i]];
        size_t wave = r->wave[r->members[i]];
        struct wave_view *v = &views[wave];
        int64_t soaked_at = s->arrived + r->in->waves[wave].soak;
        v->sites++;
        v->arrived += s->standing == STANDING_ARRIVED;
        v->moving += s->standing == STANDING_MOVING;
        v->failed += s->standing == STANDING_FAILED;
        v->passed += s->standing == STANDING_PASSED;
        if (s->standing == STANDING_ARRIVED && soaked_at > v->soaked_at)
            v->soaked_at = soaked_at;
    }
}

static size_t count_fresh(const struct wave_view *v)
{
    return v->sites - v->arrived - v->moving - v->failed - v->passed;
}

static enum wave_phase phase_of(const struct waves_input *in, const struct wave *w,
                                const struct wave_view *v)
{
    if (v->failed > (size_t)in->max_failures)
        return WAVE_STOPPED;
    if (v->moving || count_fresh(v))
        return WAVE_MOVING;
    return w->soak && v->soaked_at > in->now ? WAVE_SOAKING : WAVE_DONE;
}

/* How many of a wave's sites may be away at once. */
static size_t most_unavailable(const struct wave *w, const struct wave_view *v)
{
    if (!w->max_unavailable)
        return v->sites;
    if (w->max_unavailable > 0)
        return w->max_unavailable;
    size_t share = v->sites * -w->max_unavailable / 100;
    return share ? share : 1;
}

static size_t room_of(const struct wave *w, const struct wave_view *v)
{
    size_t most = most_unavailable(w, v), away = v->moving + v->failed, fresh = count_fresh(v);
    size_t room = most > away ? most - away : 0;

    return room < fresh ? room : fresh;
}

/* Sets each wave's phase. Returns the open one; nwaves: all are done. */
static size_t judge(const struct waves_input *in, struct wave_view *views)
{
    size_t open = in->nwaves;
    bool stopped = false;

    for (size_t k = 0; k < in->nwaves; k++) {
        views[k].phase = phase_of(in, &in->waves[k], &views[k]);
        stopped |= views[k].phase == WAVE_STOPPED;
        if (open == in->nwaves && views[k].phase != WAVE_DONE)
            open = k;
    }
    for (size_t k = open + 1; k < in->nwaves; k++)
        if (views[k].phase != WAVE_STOPPED)
            views[k].phase = WAVE_WAITING;
    if (open < in->nwaves && !stopped && views[open].phase == WAVE_MOVING)
        views[open].room = room_of(&in->waves[open], &views[open]);
    return open;
}

/* All have arrived, and none soaks, whatever its wave. */
static bool is_over(const struct rollout *r, int64_t longest_soak)
{
    for (size_t i = 0; i < r->n; i++) {
        const struct wave_site *s = &r->in->sites[r->members[i]];
        if (s->standing != STANDING_ARRIVED || s->arrived + longest_soak > r->in->now)
            return false;
    }
    return true;
}

static void view_rollout(struct rollout *r, size_t number, struct waves *ret)
{
    struct wave_view *views = xcalloc(r->in->nwaves, sizeof(*views));

    place(r);
    count(r, views);
    *VEC_ADD(ret) = (struct rollout_view){number, judge(r->in, views), views};
}

/* ---- all of them ------------------------------------------------------------------------------
 */

/* The sites of each rollout, one rollout behind the other; `start[k]` is where k begins. */
static size_t *sort_by_rollout(const struct waves_input *in, size_t *start)
{
    size_t *out = xcalloc(in->nsites, sizeof(*out)), *next;

    for (size_t i = 0; i < in->nsites; i++)
        if (in->sites[i].rollout != WAVES_NONE)
            start[in->sites[i].rollout + 1]++;
    for (size_t k = 0; k < in->nrollouts; k++)
        start[k + 1] += start[k];
    next = xcalloc(in->nrollouts, sizeof(*next));
    for (size_t i = 0; i < in->nsites; i++) {
        size_t k = in->sites[i].rollout;
        if (k != WAVES_NONE)
            out[start[k] + next[k]++] = i;
    }
    free(next);
    return out;
}

static int64_t longest_soak(const struct waves_input *in)
{
    int64_t longest = 0;

    for (size_t k = 0; k < in->nwaves; k++)
        if (in->waves[k].soak > longest)
            longest = in->waves[k].soak;
    return longest;
}

void waves_make(const struct waves_input *in, struct waves *ret)
{
    _cleanup_free_ size_t *start = xcalloc(in->nrollouts + 1, sizeof(*start));
    _cleanup_free_ size_t *members = sort_by_rollout(in, start);
    _cleanup_free_ bool *placed = xcalloc(in->nsites, sizeof(*placed));

    int64_t soak = longest_soak(in);

    assert(in->nwaves >= 1 && in->nwaves <= WAVES_MOST);
    *ret = (struct waves){.wave = xcalloc(in->nsites, 1),
                          .view = xcalloc(in->nrollouts, sizeof(*ret->view))};
    for (size_t k = 0; k < in->nrollouts; k++) {
        struct rollout r = {.in = in,
                            .members = members + start[k],
                            .n = start[k + 1] - start[k],
                            .wave = ret->wave,
                            .placed = placed};
        if (!is_over(&r, soak))
            view_rollout(&r, k, ret);
    }
    vec_foreach (v, ret)
        ret->view[v->rollout] = v;
}

void waves_done(struct waves *w)
{
    vec_foreach (v, w)
        free(v->waves);
    free(w->v);
    free(w->wave);
    free(w->view);
    *w = (struct waves){0};
}
