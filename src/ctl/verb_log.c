/* onward log: what the ledger says, newest first, of one site or of all. The history of a path is
 * log_path.c. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "ctl/log_path.h"
#include "ctl/rev.h"
#include "ctl/verb.h"

/* The records read; those of one chain newest first. */
struct records {
    VEC(struct entry {
        json_t *record; /* ours */
        size_t number;  /* in the order in which they were read */
    });
};

static void records_done(struct records *r)
{
    vec_foreach (e, r)
        json_decref(e->record);
    free(r->v);
}

/* Beginnings are told only while they are the newest that there is. */
static bool is_beginning(const json_t *record)
{
    return !strcmp(json_str(record, "kind", ""), "attempt");
}

/* Reads the records in a file, a line each. */
static int read_lines(const struct mountpoint *m, const char *path, struct records *out,
                      struct diag *reterr)
{
    _cleanup_(buf_done) struct buf text = {0};
    int r = mountpoint_read(m, path, &text, reterr);
    size_t first = out->n;

    for (const char *line = buf_str(&text); r == 0 && *line;) {
        size_t len = strcspn(line, "\n");
        json_t *record = NULL;
        r = json_read(line, len, &record, reterr);
        if (r == 0 && (out->n == first || !is_beginning(record)))
            *VEC_ADD(out) = (struct entry){record, out->n};
        else
            json_decref(record);
        line += len + (line[len] == '\n');
    }
    return r;
}

/* Reads the records of the newest `limit` generations of a site, of all for 0. */
static int read_site(const struct mountpoint *m, const char *site, unsigned limit,
                     struct records *out, struct diag *reterr)
{
    _cleanup_(names_done) struct names generations = {0};
    _cleanup_free_ char *dir = xasprintf("sites/%s/history", site);
    int r = mountpoint_list(m, dir, &generations, reterr);
    size_t oldest = limit && generations.n > limit ? generations.n - limit : 0;

    for (size_t i = generations.n; r == 0 && i-- > oldest;) {
        _cleanup_free_ char *path = xasprintf("%s/%s/records", dir, generations.v[i]);
        r = read_lines(m, path, out, reterr);
    }
    return r;
}

static int read_all(const struct mountpoint *m, unsigned limit, struct records *out,
                    struct diag *reterr)
{
    _cleanup_(names_done) struct names sites = {0};
    int r = read_lines(m, ".onward/orders", out, reterr);

    if (r == 0)
        r = mountpoint_list(m, "sites", &sites, reterr);
    for (size_t i = 0; i < sites.n && r == 0; i++) {
        r = read_site(m, sites.v[i], limit, out, reterr);
        /* A site may leave the fleet between the listing and the reading. */
        if (r == -ENOENT) {
            diag_done(reterr);
            r = 0;
        }
    }
    return r;
}

/* Newest first; within one instant by site, then the higher generation, then as they were read. */
static int by_time(const void *a, const void *b)
{
    const struct entry *ea = a, *eb = b;
    const json_t *x = ea->record, *y = eb->record;
    int c = strcmp(json_str(y, "at", ""), json_str(x, "at", ""));

    if (!c)
        c = strcmp(json_str(x, "site", ""), json_str(y, "site", ""));
    if (!c) {
        json_int_t gx = json_int(x, "generation", 0), gy = json_int(y, "generation", 0);
        c = (gx < gy) - (gx > gy);
    }
    return c ? c : (ea->number > eb->number) - (ea->number < eb->number);
}

/* "123456789abc -> 0123456789ab", without the arrow when there was nothing before. */
static char *movement(const json_t *record)
{
    const char *from = json_str(record, "from", NULL), *to = json_str(record, "to", NULL);

    if (!to)
        return NULL;
    if (!from || !strcmp(from, to))
        return xasprintf("%.*s", REV_SHORT, to);
    return xasprintf("%.*s -> %.*s", REV_SHORT, from, REV_SHORT, to);
}

static void add_row(const json_t *record, struct columns *t)
{
    char took[CLOCK_TEXT] = "-";
    json_int_t ms = json_int(record, "duration_ms", -1);
    _cleanup_free_ char *moved = movement(record);
    json_int_t n = json_int(record, "generation", 0);
    _cleanup_free_ char *generation = n ? xasprintf("%" JSON_INTEGER_FORMAT, n) : NULL;
    const char *site = json_str(record, "site", "");

    if (ms >= 0)
        clock_format_duration(ms * NS_PER_MS, took);
    columns_add(t, json_str(record, "at", NULL));
    columns_add(t, *site ? site : NULL); /* of the fleet */
    columns_add(t, generation);
    columns_add(t, json_str(record, "kind", NULL));
    columns_add(t, moved);
    columns_add(t, took);
    columns_add(t, json_str(record, "by", NULL));
    columns_add(t, json_str(record, "message", ""));
}

static void print_text(const struct call *call, const struct records *all)
{
    static const char *const heading[] = {"AT",       "SITE", "GENERATION", "KIND",
                                          "REVISION", "TOOK", "BY",         ""};
    _cleanup_(columns_done) struct columns t = {.ncolumns = ARRAY_SIZE(heading)};

    for (size_t i = 0; i < ARRAY_SIZE(heading); i++)
        columns_add(&t, heading[i]);
    vec_foreach (e, all)
        add_row(e->record, &t);
    columns_print(&t, &call->paint, 3, true, call->out);
}

static void print_json(const struct call *call, const struct records *all)
{
    _cleanup_(json_decrefp) json_t *array = json_array();
    _cleanup_(buf_done) struct buf text = {0};

    vec_foreach (e, all)
        json_array_append(array, e->record);
    json_write(array, 1, &text);
    fprintf(call->out, "%s\n", buf_str(&text));
}

int verb_log(const struct call *call, struct diag *reterr)
{
    _cleanup_(records_done) struct records all = {0};
    const char *site = call->n ? call->operands[0] : NULL;

    if (call->path)
        return log_path(call, reterr);
    int r = !site               ? read_all(call->mount, call->limit, &all, reterr)
            : strchr(site, '/') ? -ENOENT
                                : read_site(call->mount, site, call->limit, &all, reterr);

    if (r == -ENOENT && site)
        return diag_fail(reterr, r, "there is no site \"%s\"", site);
    if (r < 0)
        return r;
    if (all.n)
        qsort(all.v, all.n, sizeof(*all.v), by_time);
    for (; call->limit && all.n > call->limit; all.n--)
        json_decref(all.v[all.n - 1].record);
    if (call->json)
        print_json(call, &all);
    else if (all.n)
        print_text(call, &all);
    else
        fputs("nothing was deployed yet\n", call->out);
    return VERB_YES;
}
