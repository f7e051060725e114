#include "site/rollout.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "site/syntax.h"

/* "25%": 25, else 0. */
static int percent(const char *s)
{
    char *end;
    long n = strtol(s, &end, 10);

    return *s >= '0' && *s <= '9' && !strcmp(end, "%") && n >= 1 && n <= 100 ? n : 0;
}

static void read_share(struct decode *d, const struct yaml_node *v, void *field)
{
    int n = v->kind == YAML_SCALAR ? percent(v->text) : 0;

    if (n)
        *(int *)field = n;
    else
        decode_expected(d, v, "share", "a share from 1% to 100%");
}

static void read_unavailable(struct decode *d, const struct yaml_node *v, void *field)
{
    char *end;
    int share = v->kind == YAML_SCALAR ? percent(v->text) : 0;
    long n = v->kind == YAML_SCALAR && v->plain ? strtol(v->text, &end, 10) : 0;

    if (share)
        *(int *)field = -share;
    else if (n >= 1 && n <= INT_MAX && !*end)
        *(int *)field = n;
    else
        decode_expected(d, v, "max_unavailable",
                        "a number of sites, at least 1, or a share from 1% to 100%");
}

static const struct decode_key keys[] = {
    {"count", DECODE_INT, offsetof(struct wave, count), .least = 1},
    {"match", DECODE_PAIRS, offsetof(struct wave, match), .wrong = syntax_label_value,
     .wrong_key = syntax_label_key},
    {"max_unavailable", DECODE_CUSTOM, offsetof(struct wave, max_unavailable),
     .custom = read_unavailable},
    {"name", DECODE_STRING, offsetof(struct wave, name), .required = true, .wrong = syntax_name},
    {"share", DECODE_CUSTOM, offsetof(struct wave, share), .custom = read_share},
    {"sites", DECODE_STRINGS, offsetof(struct wave, sites), .wrong = syntax_name},
    {"soak", DECODE_DURATION, offsetof(struct wave, soak)},
};

static void check_sites(struct decode *d, const struct yaml_node *at, const struct wave *w,
                        const struct declaration *declaration)
{
    const struct yaml_node *item = yaml_get(at, "sites");

    item = item ? item->first : NULL;
    for (size_t i = 0; i < w->sites.n && item; i++, item = item->next)
        if (!declaration_site(declaration, w->sites.v[i]))
            decode_finding(d, item, "sites: no site is named \"%s\"", w->sites.v[i]);
}

static void read_wave(struct decode *d, const struct yaml_node *item, struct declaration *ret,
                      struct map *lines)
{
    struct wave *w = VEC_ADD(&ret->waves);

    decode_mapping(d, item, "a wave", keys, ARRAY_SIZE(keys), w, NULL);
    check_sites(d, item, w, ret);
    if (w->count && w->share)
        decode_finding(d, item, "a wave has \"count\" or \"share\", not both");
    if (!w->name)
        return;
    size_t before = (size_t)map_put(lines, w->name, (void *)(size_t)item->line);
    if (before)
        decode_finding(d, yaml_get(item, "name"),
                       "name: the wave \"%s\" is there already, on line %zu", w->name, before);
}

/* One site, a tenth, half, all. */
static void default_waves(struct declaration *ret)
{
    *VEC_ADD(&ret->waves) = (struct wave){.name = xstrdup("one"), .count = 1};
    *VEC_ADD(&ret->waves) = (struct wave){.name = xstrdup("tenth"), .share = 10};
    *VEC_ADD(&ret->waves) = (struct wave){.name = xstrdup("half"), .share = 50};
    *VEC_ADD(&ret->waves) = (struct wave){.name = xstrdup("all")};
}

void rollout_read(struct decode *d, const struct yaml_node *waves, struct declaration *ret)
{
    struct map lines = {0};

    if (waves && (waves->kind != YAML_SEQUENCE || !waves->n || waves->n > WAVES_MOST))
        decode_expected(d, waves, "waves", "a list of 1 to 64 waves");
    else if (waves)
        yaml_foreach (item, waves)
            read_wave(d, item, ret, &lines);
    else
        default_waves(ret);
    map_done(&lines, NULL);
}

void rollout_done(struct declaration *d)
{
    vec_foreach (w, &d->waves)
        decode_release(keys, ARRAY_SIZE(keys), w);
    free(d->waves.v);
}
