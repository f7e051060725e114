#include "site/fleet.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/metric.h"
#include "repo/oid_json.h"

#define ABBREV     12                /* digits of an id in the table */
#define FIRST_WAIT (30 * NS_PER_SEC) /* for the first snapshot */

struct fleet *fleet_new(void)
{
    struct fleet *f = NEW(struct fleet);

    f->refs = 1;
    return f;
}

struct fleet *fleet_ref(struct fleet *f)
{
    __atomic_add_fetch(&f->refs, 1, __ATOMIC_RELAXED);
    return f;
}

static void few_done(struct fleet_few *few)
{
    vec_foreach (name, &few->names)
        free(*name);
    free(few->names.v);
}

static void rollout_done(struct fleet_rollout *r)
{
    vec_foreach (w, &r->waves)
        free(w->name);
    free(r->waves.v);
    few_done(&r->moving);
    few_done(&r->failed);
    few_done(&r->passed);
}

void fleet_unref(struct fleet *f)
{
    if (!f || __atomic_sub_fetch(&f->refs, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    vec_foreach (s, &f->sites)
        site_status_unref(*s);
    free(f->sites.v);
    vec_foreach (r, &f->rollouts)
        rollout_done(r);
    free(f->rollouts.v);
    free(f->paused);
    free(f->problem);
    free(f->more);
    free(f);
}

void fleet_add(struct fleet *f, const struct site_status *like)
{
    *VEC_ADD(&f->sites) = site_status_new(like);
}

static int by_name(const void *key, const void *site)
{
    return strcmp(key, (*(const struct site_status *const *)site)->name);
}

const struct site_status *fleet_site(const struct fleet *f, const char *name)
{
    const size_t size = sizeof(*f->sites.v);
    struct site_status **s =
        f->sites.n ? bsearch(name, f->sites.v, f->sites.n, size, by_name) : NULL;

    return s ? *s : NULL;
}

/* ---- the table ---- */

/* SINCE is the last one: nothing is aligned behind it. */
enum { COLUMNS = 6, ALIGNED = COLUMNS - 1 };

struct row {
    char text[3][OID_HEX + 1]; /* room for what is made here */
    const char *cells[COLUMNS];
};

static const char *abbreviate(const struct oid *oid, char out[OID_HEX + 1])
{
    if (oid_is_zero(oid))
        return "-";
    oid_hex(oid, out)[ABBREV] = 0;
    return out;
}

static void row_fill(const struct site_status *s, struct row *r)
{
    r->cells[0] = s->name;
    r->cells[1] = s->team;
    r->cells[2] = site_state_name(s->state);
    r->cells[3] = abbreviate(&s->deployed, r->text[0]);
    r->cells[4] = abbreviate(&s->desired, r->text[1]);
    r->cells[5] = s->since ? clock_format(s->since, r->text[2]) : "-";
}

/* Of ten thousand rows: without printf, which is most of what they would cost. */
static void row_render(const struct row *r, const size_t width[ALIGNED], struct buf *out)
{
    for (int i = 0; i < ALIGNED; i++) {
        size_t len = strlen(r->cells[i]);
        buf_add(out, r->cells[i], len);
        buf_pad(out, ' ', width[i] - len + 2);
    }
    buf_adds(out, r->cells[ALIGNED]);
    buf_addc(out, '\n');
}

static void widen(size_t *width, const char *cell)
{
    size_t len = strlen(cell);

    *width = len > *width ? len : *width;
}

/* The widths that the rows need, which row_fill() would give. */
static void measure(const struct fleet *f, const struct row *header, size_t width[ALIGNED])
{
    for (int i = 0; i < ALIGNED; i++)
        widen(&width[i], header->cells[i]);
    vec_foreach (s, &f->sites) {
        widen(&width[0], (*s)->name);
        widen(&width[1], (*s)->team);
        widen(&width[2], site_state_name((*s)->state));
        width[3] = oid_is_zero(&(*s)->deployed) ? width[3] : ABBREV;
        width[4] = oid_is_zero(&(*s)->desired) ? width[4] : ABBREV;
    }
}

static void note_render(const char *note, const char *text, struct buf *out)
{
    buf_addf(out, "# %s", note);
    buf_add_visible(out, text);
    buf_addc(out, '\n');
}

static void lines_render(const char *lines, struct buf *out)
{
    while (lines && *lines) {
        size_t len = strcspn(lines, "\n");
        _cleanup_free_ char *line = xstrndup(lines, len);
        note_render("", line, out);
        lines += len + (lines[len] == '\n');
    }
}

/* ---- rollouts ---- */

#define ROLLOUTS_SHOWN 8

void fleet_few_add(struct fleet_few *few, const char *site)
{
    if (few->all++ < FLEET_FEW)
        *VEC_ADD(&few->names) = xstrdup(site);
}

static bool is_phase(const struct fleet_wave *w, const char *phase)
{
    return !strcmp(w->phase, phase);
}

/* The wave to speak of: the one that has stopped, or the open one. NULL: all are done. */
static const struct fleet_wave *wave_shown(const struct fleet_rollout *r)
{
    vec_foreach (w, &r->waves)
        if (is_phase(w, "stopped"))
            return w;
    return r->open < r->waves.n ? &r->waves.v[r->open] : NULL;
}

static void few_render(const char *what, const struct fleet_few *few, struct buf *out)
{
    if (!few->all)
        return;
    buf_addf(out, "#   %s:", what);
    vec_foreach (name, &few->names)
        buf_addf(out, " %s", *name);
    if (few->all > few->names.n)
        buf_addf(out, " and %zu more", few->all - few->names.n);
    buf_addc(out, '\n');
}

/* "moves", "soaks until …", …: what the wave does. */
static void phase_render(const struct fleet_wave *w, bool paused, struct buf *out)
{
    char until[CLOCK_TEXT];

    if (is_phase(w, "stopped"))
        buf_addf(out, "has stopped: %zu failed; a new revision or onward retry goes on", w->failed);
    else if (w->soaked_at)
        buf_addf(out, "soaks until %s", clock_format(w->soaked_at, until));
    else
        buf_adds(out, paused && !w->moving ? "is paused" : "moves");
}

static void next_waves_render(const struct fleet_rollout *r, size_t shown, struct buf *out)
{
    const char *sep = "#   then: ";

    for (size_t k = shown + 1; k < r->waves.n; k++) {
        const struct fleet_wave *w = &r->waves.v[k];
        if (!w->sites || is_phase(w, "done"))
            continue;
        buf_addf(out, "%s%s (%zu)", sep, w->name, w->sites);
        sep = ", ";
    }
    if (*sep == ',')
        buf_addc(out, '\n');
}

/* # rollout 0123456789ab: 40 of 500 sites have arrived
 * #   wave quarter (2 of 4) moves: 15 of 25 sites have arrived
 * #   moving: store-0001 store-0007
 * #   then: half (225), rest (210) */
static void rollout_render(const struct fleet_rollout *r, bool paused, struct buf *out)
{
    const struct fleet_wave *w = wave_shown(r);
    size_t sites = 0, arrived = 0;
    char id[OID_HEX + 1];

    vec_foreach (each, &r->waves) {
        sites += each->sites;
        arrived += each->arrived;
    }
    buf_addf(out, "# rollout %s: %zu of %zu sites have arrived\n", abbreviate(&r->revision, id),
             arrived, sites);
    buf_addf(out, "#   wave %s (%zu of %zu) ", w->name, (size_t)(w - r->waves.v) + 1, r->waves.n);
    phase_render(w, paused, out);
    buf_addf(out, "; %zu of %zu have arrived\n", w->arrived, w->sites);
    few_render("failed", &r->failed, out);
    few_render("moving", &r->moving, out);
    few_render("passed over", &r->passed, out);
    next_waves_render(r, w - r->waves.v, out);
}

/* Those first that a person must look at, then the larger ones. */
static int by_weight(const void *a, const void *b)
{
    const struct fleet_rollout *const *x = a, *const *y = b;
    bool stopped = is_phase(wave_shown(*x), "stopped"), other = is_phase(wave_shown(*y), "stopped");
    size_t left = 0, other_left = 0;

    if (stopped != other)
        return stopped ? -1 : 1;
    vec_foreach (w, &(*x)->waves)
        left += w->sites - w->arrived;
    vec_foreach (w, &(*y)->waves)
        other_left += w->sites - w->arrived;
    if (left != other_left)
        return left > other_left ? -1 : 1;
    return memcmp(&(*x)->revision, &(*y)->revision, sizeof((*x)->revision));
}

static void rollouts_render(const struct fleet *f, struct buf *out)
{
    VEC(const struct fleet_rollout *) open = {0};

    vec_foreach (r, &f->rollouts)
        if (wave_shown(r))
            *VEC_ADD(&open) = r;
    if (open.n)
        qsort(open.v, open.n, sizeof(*open.v), by_weight);
    for (size_t i = 0; i < open.n && i < ROLLOUTS_SHOWN; i++)
        rollout_render(open.v[i], f->paused, out);
    if (open.n > ROLLOUTS_SHOWN)
        buf_addf(out, "# and %zu more rollouts: .onward/status.json\n", open.n - ROLLOUTS_SHOWN);
    free(open.v);
}

static void notes_render(const struct fleet *f, struct buf *out)
{
    if (f->problem)
        note_render("", f->problem, out);
    lines_render(f->more, out);
    if (f->paused)
        note_render("paused ", f->paused, out);
    rollouts_render(f, out);
}

void fleet_render(const struct fleet *f, struct buf *out)
{
    static const struct row header = {
        .cells = {"SITE", "TEAM", "STATE", "DEPLOYED", "DESIRED", "SINCE"}};
    size_t width[ALIGNED] = {0};
    struct row row;

    notes_render(f, out);
    measure(f, &header, width);
    row_render(&header, width, out);
    vec_foreach (s, &f->sites) {
        row_fill(*s, &row);
        row_render(&row, width, out);
    }
}

/* ---- as JSON ---- */

static json_t *wave_json(const struct fleet_wave *w)
{
    json_t *j = json_object();

    json_put_str(j, "wave", w->name);
    json_put_str(j, "phase", w->phase);
    json_object_set_new(j, "sites", json_integer(w->sites));
    json_object_set_new(j, "arrived", json_integer(w->arrived));
    json_object_set_new(j, "moving", json_integer(w->moving));
    json_object_set_new(j, "failed", json_integer(w->failed));
    json_object_set_new(j, "passed", json_integer(w->passed));
    json_put_time(j, "soaked_at", w->soaked_at);
    return j;
}

static json_t *few_json(const struct fleet_few *few)
{
    json_t *names = json_array();

    vec_foreach (name, &few->names)
        json_array_append_new(names, json_string(*name));
    return names;
}

void fleet_render_metric(const struct fleet *f, struct buf *out)
{
    char deployed[OID_HEX + 1], desired[OID_HEX + 1];

    metric_render_head(METRIC_SITE_INFO, out);
    vec_foreach (s, &f->sites) {
        const struct site_status *site = *s;
        struct metric_label labels[] = {
            {"site", site->name},
            {"team", site->team},
            {"deployed", oid_is_zero(&site->deployed) ? "" : oid_hex(&site->deployed, deployed)},
            {"desired", oid_is_zero(&site->desired) ? "" : oid_hex(&site->desired, desired)},
        };
        metric_render_info(METRIC_SITE_INFO, labels, ARRAY_SIZE(labels), out);
    }
}

json_t *fleet_rollouts_json(const struct fleet *f)
{
    json_t *all = json_array();

    vec_foreach (r, &f->rollouts) {
        json_t *j = json_object(), *waves = json_array();
        oid_put_json(j, "revision", &r->revision);
        json_put_str(j, "open", r->open < r->waves.n ? r->waves.v[r->open].name : NULL);
        vec_foreach (w, &r->waves)
            json_array_append_new(waves, wave_json(w));
        json_object_set_new(j, "waves", waves);
        json_object_set_new(j, "moving", few_json(&r->moving));
        json_object_set_new(j, "failed", few_json(&r->failed));
        json_object_set_new(j, "passed", few_json(&r->passed));
        json_array_append_new(all, j);
    }
    return all;
}

/* ---- the board ---- */

struct fleet_board {
    pthread_mutex_t lock;
    pthread_cond_t published;
    struct fleet *newest; /* NULL until the first */
    int64_t at;           /* of the newest */
};

struct fleet_board *fleet_board_new(void)
{
    struct fleet_board *b = NEW(struct fleet_board);

    pthread_mutex_init(&b->lock, NULL);
    clock_cond_init(&b->published);
    return b;
}

void fleet_board_free(struct fleet_board *b)
{
    if (!b)
        return;
    fleet_unref(b->newest);
    pthread_cond_destroy(&b->published);
    pthread_mutex_destroy(&b->lock);
    free(b);
}

void fleet_board_publish(struct fleet_board *b, struct fleet *f)
{
    int64_t now = clock_real();

    pthread_mutex_lock(&b->lock);
    struct fleet *gone = b->newest;
    b->at = f->at = now > b->at ? now : b->at + 1;
    b->newest = f;
    pthread_cond_broadcast(&b->published);
    pthread_mutex_unlock(&b->lock);
    fleet_unref(gone);
}

/* Waits for a first one for at most `wait` ns. */
static struct fleet *take_newest(struct fleet_board *b, int64_t wait)
{
    struct timespec until = clock_timespec(clock_mono() + wait);
    struct fleet *f = NULL;
    int r = 0;

    pthread_mutex_lock(&b->lock);
    while (!b->newest && !r)
        r = pthread_cond_timedwait(&b->published, &b->lock, &until);
    if (b->newest)
        f = fleet_ref(b->newest);
    pthread_mutex_unlock(&b->lock);
    if (f)
        return f;
    f = fleet_new();
    f->problem = xstrdup("the state of the sites is not known yet");
    return f;
}

struct fleet *fleet_board_get(struct fleet_board *b)
{
    return take_newest(b, FIRST_WAIT);
}

struct fleet *fleet_board_peek(struct fleet_board *b)
{
    return take_newest(b, 0);
}
