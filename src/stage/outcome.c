#include "stage/outcome.h"

#include <errno.h>
#include <string.h>

#include "base/io.h"
#include "base/log.h"

void outcome_add_conflict(struct buf *out, const char *word, const struct conflict *c)
{
    char hex[OID_HEX + 1];
    const struct oid *sides[] = {&c->base, &c->ours, &c->theirs};

    buf_addf(out, "%s: ", word);
    buf_add_escaped(out, c->path);
    for (int i = 0; i < 3; i++)
        buf_addf(out, " %s", oid_is_zero(sides[i]) ? "-" : oid_hex(sides[i], hex));
    buf_addc(out, '\n');
}

void outcome_add_revision(struct buf *out, const struct oid *revision)
{
    char hex[OID_HEX + 1];

    buf_addf(out, "%s\n", oid_hex(revision, hex));
}

#define ROOM_FOR_COUNT 64

static size_t count_lines(const char *text, size_t len)
{
    size_t n = 0;

    for (size_t i = 0; i < len; i++)
        n += text[i] == '\n';
    return n;
}

static void add_shortened(struct buf *out, const struct buf *text)
{
    const char *cut = memrchr(text->data, '\n', OUTCOME_MOST - ROOM_FOR_COUNT);
    size_t len = cut ? (size_t)(cut - text->data) + 1 : 0;

    buf_add(out, text->data, len);
    buf_addf(out, "and %zu lines more\n", count_lines(text->data + len, text->len - len));
}

/* Until the next one is saved; NULL: it was. */
static void keep_unsaved(struct workspace *ws, const struct buf *text)
{
    char *kept = text ? xstrndup(buf_str(text), text->len) : NULL;

    pthread_mutex_lock(&ws->saying);
    char *old = ws->unsaved;
    ws->unsaved = kept;
    pthread_mutex_unlock(&ws->saying);
    free(old);
}

void outcome_save(struct workspace *ws, const struct buf *text)
{
    _cleanup_(buf_done) struct buf shortened = {0};

    if (ws->ended)
        return;
    if (text->len > OUTCOME_MOST) {
        add_shortened(&shortened, text);
        text = &shortened;
    }
    int r = io_replace_file(ws->dir, "outcome", buf_str(text), text->len, 0600);
    keep_unsaved(ws, r < 0 ? text : NULL);
    if (r < 0 && !ws->ended)
        log_error("outcome-not-saved", "workspace=%s reason=\"%s\"", ws->name, strerror(-r));
}

int outcome_read(struct workspace *ws, struct buf *out)
{
    pthread_mutex_lock(&ws->saying);
    bool unsaved = ws->unsaved != NULL;
    if (unsaved)
        buf_adds(out, ws->unsaved);
    pthread_mutex_unlock(&ws->saying);
    int r = unsaved ? 0 : io_read_file(ws->dir, "outcome", OUTCOME_MOST, out);

    return r == -ENOENT ? 0 : r;
}
