#include "ctl/fleet_print.h"

#include <string.h>

#include "base/map.h"

#define IN_SYNC "in-sync"

/* What a line about the whole says: what a person must see, where a rollout is, what is wrong. */
static enum colour note_colour(const char *line)
{
    if (!strncmp(line, "# rollout ", 10))
        return PAINT_BOLD;
    if (!strncmp(line, "#   ", 4))
        return strstr(line, " has stopped: ") || strstr(line, " failed: ") ? PAINT_RED
                                                                           : PAINT_PLAIN;
    return strncmp(line, "# paused ", 9) ? PAINT_RED : PAINT_YELLOW;
}

static void print_note(const char *line, size_t len, const struct paint *p, FILE *out)
{
    _cleanup_free_ char *text = xstrndup(line, len);

    paint_string(p, note_colour(text), text, out);
    putc('\n', out);
}

static void print_notes(const struct fleet_table *t, const struct paint *p, FILE *out)
{
    for (const char *line = buf_str(&t->notes); *line;) {
        size_t len = strcspn(line, "\n");
        print_note(line, len, p, out);
        line += len + (line[len] == '\n');
    }
}

static bool is_in_sync(const struct fleet_table *t, size_t i)
{
    return !strcmp(fleet_table_cell(t, i, FLEET_STATE), IN_SYNC);
}

/* The heading, and all sites, or those that are not in sync. */
static void print_sites(const struct fleet_table *t, bool all, const struct paint *p, FILE *out)
{
    struct columns chosen = {.ncolumns = FLEET_COLUMNS};

    for (size_t k = 0; k < t->columns.n; k++)
        if (all || k < FLEET_COLUMNS || !is_in_sync(t, k / FLEET_COLUMNS - 1))
            columns_add(&chosen, t->columns.v[k]);
    columns_print(&chosen, p, FLEET_STATE, true, out);
    columns_done(&chosen);
    if (!fleet_table_sites(t))
        fputs("no sites: the mainline's onward.yaml declares none\n", out);
}

void fleet_print(const struct fleet_table *t, const struct paint *p, FILE *out)
{
    print_notes(t, p, out);
    print_sites(t, true, p, out);
}

/* "12 sites: 10 in-sync, 2 migrating", in the order in which the states are met. */
static void print_counts(const struct fleet_table *t, const struct paint *p, FILE *out)
{
    struct map counts = {0};
    size_t n = fleet_table_sites(t);
    VEC(const char *) states = {0};
    const char *sep = ": ";

    for (size_t i = 0; i < n; i++) {
        const char *state = fleet_table_cell(t, i, FLEET_STATE);
        size_t before = (size_t)map_get(&counts, state);
        map_put(&counts, state, (void *)(before + 1));
        if (!before)
            *VEC_ADD(&states) = state;
    }
    fprintf(out, "%zu sites", n);
    vec_foreach (state, &states) {
        fprintf(out, "%s%zu ", sep, (size_t)map_get(&counts, *state));
        paint_string(p, paint_state(*state), *state, out);
        sep = ", ";
    }
    putc('\n', out);
    free(states.v);
    map_done(&counts, NULL);
}

void fleet_print_short(const struct fleet_table *t, int lines, const struct paint *p, FILE *out)
{
    size_t notes = 0;

    for (const char *c = buf_str(&t->notes); *c; c++)
        notes += *c == '\n';
    print_counts(t, p, out);
    print_notes(t, p, out);
    print_sites(t, fleet_table_sites(t) + notes + 3 <= (size_t)lines, p, out);
}

/* ---- changes ---- */

static const char *cell_of(const struct fleet_table *t, const struct map *rows, const char *site,
                           enum fleet_column c)
{
    size_t row = (size_t)map_get(rows, site);

    return row ? fleet_table_cell(t, row - 1, c) : "-";
}

static void print_new_notes(const struct fleet_table *was, const struct fleet_table *is,
                            const struct paint *p, FILE *out)
{
    struct map known = {0};

    for (const char *line = buf_str(&was->notes); *line; line += strcspn(line, "\n") + 1) {
        _cleanup_free_ char *text = xstrndup(line, strcspn(line, "\n"));
        map_put(&known, text, (void *)1);
    }
    for (const char *line = buf_str(&is->notes); *line; line += strcspn(line, "\n") + 1) {
        _cleanup_free_ char *text = xstrndup(line, strcspn(line, "\n"));
        if (!map_get(&known, text))
            print_note(text, strlen(text), p, out);
    }
    map_done(&known, NULL);
}

/* "store-0001  pending -> migrating  0123456789ab -> 123456789abc" */
static void print_change(const struct fleet_table *is, size_t i, const char *state,
                         const struct paint *p, FILE *out)
{
    const char *now = fleet_table_cell(is, i, FLEET_STATE);

    paint_string(p, PAINT_PLAIN, fleet_table_cell(is, i, FLEET_SITE), out);
    fprintf(out, "  %s -> ", state);
    paint_string(p, paint_state(now), now, out);
    fprintf(out, "  %s -> %s\n", fleet_table_cell(is, i, FLEET_DEPLOYED),
            fleet_table_cell(is, i, FLEET_DESIRED));
}

void fleet_print_changes(const struct fleet_table *was, const struct fleet_table *is,
                         const struct paint *p, FILE *out)
{
    static const enum fleet_column told[] = {FLEET_STATE, FLEET_DEPLOYED, FLEET_DESIRED};
    struct map rows = {0};

    print_new_notes(was, is, p, out);
    for (size_t i = 0; i < fleet_table_sites(was); i++)
        map_put(&rows, fleet_table_cell(was, i, FLEET_SITE), (void *)(i + 1));
    for (size_t i = 0; i < fleet_table_sites(is); i++) {
        const char *site = fleet_table_cell(is, i, FLEET_SITE);
        bool changed = false;
        for (size_t c = 0; c < ARRAY_SIZE(told); c++)
            changed |= strcmp(cell_of(was, &rows, site, told[c]), fleet_table_cell(is, i, told[c]));
        if (changed)
            print_change(is, i, cell_of(was, &rows, site, FLEET_STATE), p, out);
    }
    map_done(&rows, NULL);
}
