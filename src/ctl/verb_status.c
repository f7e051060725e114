/* onward status: the fleet as a table, single sites in full. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "ctl/fleet_table.h"
#include "ctl/verb.h"

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

static int print_fleet(const struct call *call, FILE *out, struct diag *reterr)
{
    _cleanup_(buf_done) struct buf text = {0};
    _cleanup_(fleet_table_done) struct fleet_table fleet = {0};
    int r = mountpoint_read(call->mount, "fleet", &text, reterr);

    if (r < 0)
        return r;
    fleet_table_parse(buf_str(&text), &fleet);
    paint_string(&call->paint, PAINT_RED, buf_str(&fleet.notes), out);
    columns_print(&fleet.columns, &call->paint, FLEET_STATE, true, out);
    if (!fleet_table_sites(&fleet))
        fputs("no sites: the mainline's onward.yaml declares none\n", out);
    return 0;
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

/* Prints what there is now if it differs from `last`, which becomes it. A terminal is redrawn. */
static int print_change(const struct call *call, char **last, struct diag *reterr)
{
    _cleanup_free_ char *now = NULL;
    size_t len = 0;
    FILE *memory = open_memstream(&now, &len);

    if (!memory)
        return -errno;
    int r = print_once(call, memory, reterr);
    fclose(memory);
    if (r < 0 || (*last && !strcmp(*last, now)))
        return r;
    if (call->paint.harmless)
        fputs("\033[H\033[2J", call->out);
    else if (*last && !call->json)
        putc('\n', call->out);
    fputs(now, call->out);
    free(*last);
    *last = TAKE(now);
    return fflush(call->out) ? -errno : 0;
}

int verb_status(const struct call *call, struct diag *reterr)
{
    _cleanup_free_ char *last = NULL;
    int r = print_change(call, &last, reterr);

    while (r == 0 && call->watch) {
        sleep(1);
        r = print_change(call, &last, reterr);
    }
    return r;
}
