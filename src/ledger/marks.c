#include "ledger/marks.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/io.h"
#include "base/log.h"

#define SAVE_EVERY NS_PER_SEC
#define FILE_MOST  (16u << 20)

static void put(struct marks *m, const char *ref, const struct oid *oid)
{
    free(map_put(&m->all, ref, xmemdup(oid, sizeof(*oid))));
}

int marks_load(struct marks *m, const char *path, struct diag *reterr)
{
    _cleanup_(buf_done) struct buf text = {0};
    int r = io_read_file(AT_FDCWD, path, FILE_MOST, &text);
    char *rest = text.data, *line;

    m->path = xstrdup(path);
    if (r < 0 && r != -ENOENT)
        return diag_fail(reterr, r, "cannot read %s: %s", path, strerrordesc_np(-r));
    while ((line = strsep(&rest, "\n"))) {
        struct oid oid;
        char *space = strchr(line, ' ');
        if (!space)
            continue;
        *space = 0;
        if (oid_parse(line, &oid) == 0)
            put(m, space + 1, &oid);
    }
    return 0;
}

struct oid marks_get(const struct marks *m, const char *ref)
{
    const struct oid *oid = map_get(&m->all, ref);

    return oid ? *oid : (struct oid){0};
}

void marks_move(struct marks *m, const char *ref, const struct oid *from, const struct oid *to)
{
    struct oid at = marks_get(m, ref);

    if (!m->path || oid_equal(&at, to) || (!oid_is_zero(&at) && !oid_equal(&at, from)))
        return;
    put(m, ref, to);
    m->dirty = true;
}

void marks_accept(struct marks *m, const char *ref, const struct oid *to)
{
    if (oid_is_zero(to))
        free(map_del(&m->all, ref));
    else
        put(m, ref, to);
    m->dirty = true;
}

void marks_save_now(struct marks *m)
{
    _cleanup_(buf_done) struct buf text = {0};
    char hex[OID_HEX + 1];

    if (!m->dirty)
        return;
    map_foreach (it, &m->all) {
        buf_addf(&text, "%s %s\n", oid_hex(it->value, hex), it->key);
    }
    int r = io_replace_file(AT_FDCWD, m->path, text.data, text.len, 0600);
    if (r < 0)
        log_warn("ledger-mark-failed", "path=\"%s\" reason=\"%s\"", m->path, strerrordesc_np(-r));
    m->saved = clock_mono();
    m->dirty = r < 0;
}

void marks_save(struct marks *m)
{
    if (!m->saved || clock_mono() - m->saved >= SAVE_EVERY)
        marks_save_now(m);
}

void marks_done(struct marks *m)
{
    marks_save_now(m);
    map_done(&m->all, free);
    free(m->path);
}
