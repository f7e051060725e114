#include "ctl/moved.h"

#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "ctl/fleet_table.h"

/* How long the fleet is waited for, and how often it is looked at. */
#define MOVE_WAIT (500 * NS_PER_MS)
#define MOVE_POLL (20 * NS_PER_MS)

/* Adds the sites whose desired revision is `rev` by now. */
static void add_moving(const struct mountpoint *m, const char *rev, json_t *sites)
{
    _cleanup_(buf_done) struct buf text = {0};
    _cleanup_(fleet_table_done) struct fleet_table fleet = {0};

    if (mountpoint_read(m, "fleet", &text, NULL) < 0)
        return;
    fleet_table_parse(buf_str(&text), &fleet);
    for (size_t i = 0; i < fleet_table_sites(&fleet); i++) {
        const char *desired = fleet_table_cell(&fleet, i, FLEET_DESIRED);
        if (strlen(desired) >= 7 && !strncmp(desired, rev, strlen(desired)))
            json_array_append_new(sites, json_string(fleet_table_cell(&fleet, i, FLEET_SITE)));
    }
}

/* Whether the daemon has decided what the revision means for the sites. */
static bool is_decided(const struct mountpoint *m, const char *rev)
{
    _cleanup_(buf_done) struct buf text = {0};
    _cleanup_(json_decrefp) json_t *status = NULL;

    return mountpoint_read(m, ".onward/status.json", &text, NULL) == 0 &&
           json_read(buf_str(&text), text.len, &status, NULL) == 0 &&
           !strcmp(json_str(status, "decided", ""), rev);
}

json_t *moved_sites(const struct mountpoint *m, const char *rev)
{
    const struct timespec nap = clock_timespec(MOVE_POLL);
    json_t *sites = json_array();

    for (int64_t end = clock_mono() + MOVE_WAIT; !is_decided(m, rev) && clock_mono() < end;)
        nanosleep(&nap, NULL);
    add_moving(m, rev, sites);
    return sites;
}

void moved_text(const json_t *sites, struct buf *out)
{
    for (size_t i = 0; i < json_array_size(sites); i++)
        buf_addf(out, "%s%s", i ? " " : "\nmoves ", json_string_value(json_array_get(sites, i)));
}

char *moved_revision(const char *text)
{
    static const char digits[] = "0123456789abcdef";

    for (const char *p = text; *p; p++) {
        size_t n = strspn(p, digits);
        if (n >= 40)
            return xstrndup(p, n);
        p += n;
        if (!*p)
            break;
    }
    return NULL;
}
