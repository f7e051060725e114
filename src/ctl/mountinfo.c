#include "ctl/mountinfo.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/io.h"

#define TABLE      "/proc/self/mountinfo"
#define TABLE_MOST (64 << 20)

void mountinfo_done(struct mountinfo *m)
{
    vec_foreach (e, m) {
        free(e->root);
        free(e->point);
        free(e->type);
    }
    free(m->v);
    *m = (struct mountinfo){0};
}

static int octal(const char *s)
{
    for (int i = 0; i < 3; i++)
        if (s[i] < '0' || s[i] > '7')
            return -1;
    return (s[0] - '0') << 6 | (s[1] - '0') << 3 | (s[2] - '0');
}

/* A field with its "\ooo" escapes undone; the caller frees. */
static char *unescape(const char *s, size_t len)
{
    char *out = xmalloc(len + 1), *to = out;

    for (size_t i = 0; i < len; i++) {
        int c = s[i] == '\\' && i + 3 < len ? octal(s + i + 1) : -1;
        *to++ = c < 0 ? s[i] : c;
        i += c < 0 ? 0 : 3;
    }
    *to = 0;
    return out;
}

/* Sets [*from, *len) to the next field of the line at *p, moves *p behind it; 0 when there is none.
 */
static int next_field(const char **p, const char **from, size_t *len)
{
    *p += strspn(*p, " ");
    *from = *p;
    *len = strcspn(*p, " \n");
    *p += *len;
    return *len > 0;
}

/* `36 35 98:0 /root /point options [optional…] - type source options` */
static void parse_line(const char *line, struct mountinfo *ret)
{
    const char *field[5], *from;
    size_t len[5], n;

    for (int i = 0; i < 5; i++)
        if (!next_field(&line, &field[i], &len[i]))
            return;
    while (next_field(&line, &from, &n))
        if (n == 1 && *from == '-')
            break;
    if (!next_field(&line, &from, &n))
        return;
    struct mount_entry *e = VEC_ADD(ret);
    e->root = unescape(field[3], len[3]);
    e->point = unescape(field[4], len[4]);
    e->type = unescape(from, n);
}

void mountinfo_parse(const char *text, struct mountinfo *ret)
{
    for (const char *line = text; *line;) {
        parse_line(line, ret);
        line += strcspn(line, "\n");
        line += *line == '\n';
    }
}

int mountinfo_read(struct mountinfo *ret, struct diag *reterr)
{
    _cleanup_(buf_done) struct buf text = {0};
    int r = io_read_file(AT_FDCWD, TABLE, TABLE_MOST, &text);

    if (r < 0)
        return diag_prefix(reterr, r, "cannot read the table of mounts, " TABLE);
    mountinfo_parse(buf_str(&text), ret);
    return 0;
}

const char *path_below(const char *path, const char *dir)
{
    size_t n = strlen(dir);

    while (n && dir[n - 1] == '/')
        n--;
    if (strncmp(path, dir, n) || (path[n] && path[n] != '/'))
        return NULL;
    return path + n + strspn(path + n, "/");
}

const struct mount_entry *mountinfo_holding(const struct mountinfo *m, const char *path)
{
    const struct mount_entry *best = NULL;

    vec_foreach (e, m)
        if (path_below(path, e->point) && (!best || strlen(e->point) >= strlen(best->point)))
            best = e;
    return best;
}

int mount_entry_is_ours(const struct mount_entry *e)
{
    return !strcmp(e->type, MOUNTINFO_TYPE) && !strcmp(e->root, "/");
}
