#include "ctl/workspace_ref.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

/* The name of the workspace that `inside`, a path in the mount, is in; yours or NULL. */
static char *name_from(const char *inside)
{
    const char *below = inside ? path_below(inside, "staging") : NULL;

    return below && *below ? xstrndup(below, strcspn(below, "/")) : NULL;
}

int workspace_ref_find(const struct call *call, struct workspace_ref *ret, struct diag *reterr)
{
    _cleanup_free_ char *name =
        call->n ? xstrdup(call->operands[0]) : name_from(call->mount->inside);

    if (!name)
        return diag_fail(
            reterr, VERB_USAGE,
            "which workspace? name one, or work in its directory; `onward list` shows them");
    _cleanup_free_ char *dir = xasprintf("staging/%s", name);
    if (strchr(name, '/') || faccessat(call->mount->fd, dir, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
        return diag_fail(reterr, errno == ENOENT || strchr(name, '/') ? -ENOENT : -errno,
                         "there is no workspace \"%s\"; `onward list` shows them", name);
    ret->name = TAKE(name);
    ret->dir = TAKE(dir);
    return 0;
}

void workspace_ref_done(struct workspace_ref *w)
{
    free(w->name);
    free(w->dir);
    w->name = w->dir = NULL;
    if (w->locked)
        close(w->lock);
    w->locked = false;
}

void workspace_ref_lock(struct workspace_ref *w, const struct mountpoint *m)
{
    _cleanup_free_ char *path = xasprintf("%s/.onward", w->dir);

    w->lock = openat(m->fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    w->locked = w->lock >= 0;
    if (w->locked)
        flock(w->lock, LOCK_EX);
}

int workspace_ref_read(const struct workspace_ref *w, const struct mountpoint *m, const char *file,
                       struct buf *out, struct diag *reterr)
{
    _cleanup_free_ char *path = xasprintf("%s/.onward/%s", w->dir, file);

    return mountpoint_read_trimmed(m, path, out, reterr);
}

int workspace_ref_command(const struct workspace_ref *w, const struct mountpoint *m,
                          const char *file, const char *line, struct diag *reterr)
{
    _cleanup_free_ char *path = xasprintf("%s/.onward/%s", w->dir, file);

    return mountpoint_command(m, path, line, reterr);
}

char *keyed_value(const char *text, const char *key)
{
    size_t n = strlen(key);

    for (const char *line = text; *line; line += *line == '\n') {
        size_t len = strcspn(line, "\n");
        if (len > n && !strncmp(line, key, n) && line[n] == ':') {
            size_t blank = strspn(line + n + 1, " ");
            return xstrndup(line + n + 1 + blank, len - n - 1 - blank);
        }
        line += len;
    }
    return NULL;
}

/* Reads ":<digits>" at *p, moves *p behind it; 0 when there is none. */
static long number_at(char **p)
{
    char *end;

    if (**p != ':' || !isdigit((unsigned char)(*p)[1]))
        return 0;
    long n = strtol(*p + 1, &end, 10);
    if (*end != ':')
        return 0;
    *p = end;
    return n;
}

/* `path:line:col: check: message`, line and column optional. `line` is changed. */
static json_t *finding_json(char *line)
{
    json_t *j = json_object();
    char *place = line + strcspn(line, ":");

    /* A path may hold colons; what ends it is ":<line>:<col>:" or, without these, ": ". */
    for (char *p = place; *p; p += 1 + strcspn(p + 1, ":"))
        if (p[1] == ' ' || isdigit((unsigned char)p[1])) {
            place = p;
            break;
        }
    char *rest = place;
    long at = number_at(&rest), col = number_at(&rest);
    char *check = *rest == ':' && rest[1] == ' ' ? rest + 2 : NULL;
    char *colon = check ? strstr(check, ": ") : NULL;
    if (!colon) {
        json_put_str(j, "message", line);
        return j;
    }
    *place = *colon = 0;
    json_put_str(j, "path", line);
    if (at)
        json_object_set_new(j, "line", json_integer(at));
    if (col)
        json_object_set_new(j, "col", json_integer(col));
    json_put_str(j, "check", check);
    json_put_str(j, "message", colon + 2);
    return j;
}

json_t *findings_json(const char *text)
{
    json_t *all = json_array();

    while (*text) {
        size_t len = strcspn(text, "\n");
        _cleanup_free_ char *line = xstrndup(text, len);
        if (len)
            json_array_append_new(all, finding_json(line));
        text += len + (text[len] == '\n');
    }
    return all;
}
