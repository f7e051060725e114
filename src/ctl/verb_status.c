/* onward status: the fleet as a table, single sites in full; once, or whenever it changes. */
#include <errno.h>
#include <string.h>

#include "ctl/fleet_print.h"
#include "ctl/screen.h"
#include "ctl/verb.h"
#include "ctl/watch.h"

/* status.json of one site. */
static int read_site(const struct call *call, const char *site, json_t **ret, struct diag *reterr)
{
    _cleanup_free_ char *path = xasprintf("sites/%s/status.json", site);
    int r = strchr(site, '/') ? -ENOENT : mountpoint_read_json(call->mount, path, ret, reterr);

    return r == -ENOENT ? diag_fail(reterr, r, "there is no site \"%s\"", site) : r;
}

static int print_json(const struct call *call, const struct names *sites, struct buf *out,
                      struct diag *reterr)
{
    _cleanup_(json_decrefp) json_t *all = json_array();

    vec_foreach (site, sites) {
        json_t *one = NULL;
        int r = read_site(call, *site, &one, reterr);
        /* A site may leave the fleet between the listing and the reading. */
        if (r == -ENOENT && !call->n) {
            diag_done(reterr);
            continue;
        }
        if (r < 0)
            return r;
        json_array_append_new(all, one);
    }
    json_write(all, 1, out);
    buf_addc(out, '\n');
    return 0;
}

static int print_json_of(const struct call *call, FILE *out, struct diag *reterr)
{
    _cleanup_(names_done) struct names sites = {0};
    _cleanup_(buf_done) struct buf text = {0};
    int r = 0;

    for (int i = 0; i < call->n; i++)
        *VEC_ADD(&sites) = xstrdup(call->operands[i]);
    if (!call->n)
        r = mountpoint_list(call->mount, "sites", &sites, reterr);
    if (r == 0)
        r = print_json(call, &sites, &text, reterr);
    if (r == 0)
        fwrite(buf_str(&text), 1, text.len, out);
    return r;
}

static int read_fleet(const struct call *call, struct fleet_table *ret, struct diag *reterr)
{
    _cleanup_(buf_done) struct buf text = {0};
    int r = mountpoint_read(call->mount, "fleet", &text, reterr);

    if (r == 0)
        fleet_table_parse(buf_str(&text), ret);
    return r;
}

static int print_fleet(const struct call *call, FILE *out, struct diag *reterr)
{
    _cleanup_(fleet_table_done) struct fleet_table fleet = {0};
    int r = read_fleet(call, &fleet, reterr);

    if (r == 0)
        fleet_print(&fleet, &call->paint, out);
    return r;
}

/* One "key: value" line, with the state in its colour. */
static void print_keyed(const struct call *call, const char *line, size_t len, FILE *out)
{
    static const char key[] = "state: ";
    size_t n = strlen(key);

    if (len <= n || strncmp(line, key, n)) {
        paint_text(&call->paint, line, len, out);
    } else {
        _cleanup_free_ char *state = xstrndup(line + n, len - n);
        fputs(key, out);
        paint_string(&call->paint, paint_state(state), state, out);
    }
    putc('\n', out);
}

static int print_site(const struct call *call, const char *site, FILE *out, struct diag *reterr)
{
    _cleanup_free_ char *path = xasprintf("sites/%s/status", site);
    _cleanup_(buf_done) struct buf text = {0};
    int r = strchr(site, '/') ? -ENOENT : mountpoint_read(call->mount, path, &text, reterr);

    if (r == -ENOENT)
        return diag_fail(reterr, r, "there is no site \"%s\"", site);
    if (r < 0)
        return r;
    for (const char *line = buf_str(&text); *line;) {
        size_t len = strcspn(line, "\n");
        print_keyed(call, line, len, out);
        line += len + (line[len] == '\n');
    }
    return 0;
}

static int print_once(const struct call *call, FILE *out, struct diag *reterr)
{
    int r = 0;

    if (call->json)
        return print_json_of(call, out, reterr);
    if (!call->n)
        return print_fleet(call, out, reterr);
    for (int i = 0; i < call->n && r == 0; i++) {
        if (i)
            putc('\n', out);
        r = print_site(call, call->operands[i], out, reterr);
    }
    return r;
}

/* ---- watching ---- */

/* What was printed last. */
struct last {
    char *text;
    struct fleet_table fleet;
    bool drawn;
};

static void last_done(struct last *l)
{
    free(l->text);
    fleet_table_done(&l->fleet);
}

/* What a terminal shows, from its first line to its last. */
static int draw(const struct call *call, struct last *last, struct diag *reterr)
{
    _cleanup_(fleet_table_done) struct fleet_table fleet = {0};
    _cleanup_free_ char *text = NULL;
    struct screen screen = screen_of(call->out);
    size_t len = 0;
    FILE *memory = open_memstream(&text, &len);
    bool whole = !call->n && !call->json;
    int r = !memory ? -errno : whole ? read_fleet(call, &fleet, reterr) : 0;

    if (r == 0 && whole)
        fleet_print_short(&fleet, screen.lines - 1, &call->paint, memory);
    else if (r == 0)
        r = print_once(call, memory, reterr);
    if (memory)
        fclose(memory);
    if (r < 0)
        return r;
    if (!last->drawn)
        screen_begin(call->out);
    last->drawn = true;
    screen_draw(&screen, text, call->out);
    return 0;
}

/* Lines of what changed in the fleet, after all of it. */
static int tell_fleet(const struct call *call, struct last *last, struct diag *reterr)
{
    struct fleet_table fleet = {0};
    int r = read_fleet(call, &fleet, reterr);

    if (r < 0)
        return r;
    if (last->drawn)
        fleet_print_changes(&last->fleet, &fleet, &call->paint, call->out);
    else
        fleet_print(&fleet, &call->paint, call->out);
    last->drawn = true;
    fleet_table_done(&last->fleet);
    last->fleet = fleet;
    return fflush(call->out) ? -errno : 0;
}

/* Prints what there is now if it differs from what was printed last. */
static int tell(const struct call *call, struct last *last, struct diag *reterr)
{
    _cleanup_free_ char *now = NULL;
    size_t len = 0;

    if (!call->n && !call->json)
        return tell_fleet(call, last, reterr);
    FILE *memory = open_memstream(&now, &len);
    if (!memory)
        return -errno;
    int r = print_once(call, memory, reterr);
    fclose(memory);
    if (r < 0 || (last->text && !strcmp(last->text, now)))
        return r;
    if (last->text && !call->json)
        putc('\n', call->out);
    fputs(now, call->out);
    free(last->text);
    last->text = TAKE(now);
    return fflush(call->out) ? -errno : 0;
}

static int follow(const struct call *call, struct diag *reterr)
{
    _cleanup_(last_done) struct last last = {0};
    bool terminal = call->paint.harmless;
    struct watch watch;
    int r = watch_begin(call->mount, &watch, reterr);

    if (r < 0)
        return r;
    do {
        r = terminal ? draw(call, &last, reterr) : tell(call, &last, reterr);
        if (r == 0)
            r = watch_next(&watch, reterr);
    } while (r > 0);
    if (terminal && last.drawn)
        screen_end(call->out);
    return r;
}

int verb_status(const struct call *call, struct diag *reterr)
{
    return call->watch ? follow(call, reterr) : print_once(call, call->out, reterr);
}
