#include "script.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/io.h"
#include "base/map.h"

/* Printing */

void say(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vprintf(fmt, ap);
    va_end(ap);
}

void say_errno(int err)
{
    const char *name = strerrorname_np(err);

    say("%s", name ? name : "E?");
}

void say_result(long r)
{
    if (r < 0)
        say_errno(errno);
    else
        say("%ld", r);
}

void say_done(long r)
{
    say_result(r < 0 ? r : 0);
}

void say_bytes(const char *data, size_t n)
{
    bool plain = n <= 40;

    for (size_t i = 0; i < n && plain; i++)
        plain = isgraph((unsigned char)data[i]);
    if (plain)
        say("\"%.*s\"", (int)n, data);
    else
        say("%zu:%016llx", n, (unsigned long long)hash_bytes(data, n, 1));
}

/* Words */

static const char *add_repeated(struct buf *out, const char *p)
{
    const char *star = strchr(p, '*'), *end = star ? strchr(star, '}') : NULL;

    if (!end) {
        fprintf(stderr, "posix: a repetition without an end: {%s\n", p);
        exit(2);
    }
    for (long n = strtol(star + 1, NULL, 10); n > 0; n--)
        buf_add(out, p, star - p);
    return end + 1;
}

static char *expand(struct script *s, const char *p, size_t len)
{
    _cleanup_(buf_done) struct buf out = {0};
    _cleanup_free_ char *own = xstrndup(p, len);

    if (!strcmp(own, "\"\""))
        return xstrdup("");
    for (p = own; *p;) {
        if (p[0] == '\\' && p[1] == 'x' && p[2] && p[3]) {
            buf_addc(&out, (char)strtol((char[]){p[2], p[3], 0}, NULL, 16));
            p += 4;
        } else if (p[0] == '\\' && p[1] == 's') {
            buf_addc(&out, ' ');
            p += 2;
        } else if (p[0] == '$' && p[1] == 'D') {
            buf_adds(&out, s->directory);
            p += 2;
        } else if (p[0] == '%' && isdigit((unsigned char)p[1])) {
            buf_addf(&out, "/proc/self/fd/%d", s->fds[p[1] - '0']);
            p += 2;
        } else if (*p == '{') {
            p = add_repeated(&out, p + 1);
        } else {
            buf_addc(&out, *p++);
        }
    }
    return xstrdup(buf_str(&out));
}

static void drop_words(struct script *s)
{
    for (int i = 0; i < WORDS; i++) {
        free(s->word[i]);
        s->word[i] = NULL;
    }
    s->nwords = 0;
}

static void split(struct script *s, const char *text)
{
    drop_words(s);
    while (*(text += strspn(text, " \t"))) {
        size_t len = strcspn(text, " \t");
        if (s->nwords == WORDS) {
            fprintf(stderr, "posix: too many words: %s\n", text);
            exit(2);
        }
        s->word[s->nwords++] = expand(s, text, len);
        text += len;
    }
}

long number(const char *word)
{
    return word ? strtol(word, NULL, 0) : -1;
}

int slot(const char *word)
{
    return word && isdigit((unsigned char)word[0]) ? word[0] - '0' : 0;
}

int file(struct script *s, const char *word)
{
    return s->fds[slot(word)];
}

void put_file(struct script *s, const char *word, int fd)
{
    int i = slot(word);

    if (fd < 0)
        return;
    if (s->fds[i] >= 0)
        close(s->fds[i]);
    s->fds[i] = fd;
}

long bits(const struct bit *table, const char *word)
{
    long sum = 0;

    while (word && *word) {
        size_t len = strcspn(word, "|");
        const struct bit *b = table;
        while (b->name && (strlen(b->name) != len || strncmp(b->name, word, len)))
            b++;
        if (!b->name) {
            fprintf(stderr, "posix: unknown flag: %s\n", word);
            exit(2);
        }
        sum |= b->bit;
        word += len + (word[len] == '|');
    }
    return sum;
}

size_t inode_label(struct script *s, ino_t ino)
{
    size_t i = 0;

    while (i < s->ninodes && s->inodes[i] != ino)
        i++;
    if (i == s->ninodes && i < INODES)
        s->inodes[s->ninodes++] = ino;
    return i + 1;
}

void pattern(char *out, size_t n, size_t off, unsigned seed)
{
    for (size_t i = 0; i < n; i++)
        out[i] = (char)(((off + i) * 31 + ((off + i) >> 8) * 7 + seed) & 0xff);
}

/* Calls */

static const struct call *find_in(const struct call *table, const char *name)
{
    for (; table->name; table++)
        if (!strcmp(table->name, name))
            return table;
    return NULL;
}

static const struct call *find_call(const struct script *s)
{
    const struct call *const tables[] = {name_calls, data_calls, attribute_calls, process_calls,
                                         trial_calls};

    for (size_t i = 0; i < sizeof(tables) / sizeof(*tables); i++) {
        const struct call *c = find_in(tables[i], s->word[0]);
        if (c && s->nwords > c->words)
            return c;
    }
    fprintf(stderr, "posix: %s/%s: no such call: %s\n", s->group, s->name, s->word[0]);
    exit(2);
}

static void make_call(struct script *s, const char *text)
{
    split(s, text);
    const struct call *c = find_call(s);
    printf("%s/%s: %s = ", s->group, s->name, text);
    fflush(stdout);
    errno = 0;
    c->make(s);
    printf("\n");
    fflush(stdout);
    drop_words(s);
}

static bool become(long uid)
{
    return uid < 0 || (setgroups(0, NULL) == 0 && setresgid(uid, uid, uid) == 0 &&
                       setresuid(uid, uid, uid) == 0);
}

/* The calls of `text`, with `;` between them, in a process of their own. */
static void in_child(struct script *s, long uid, const char *text)
{
    fflush(stdout);
    pid_t pid = fork();

    if (pid == 0) {
        if (!become(uid)) {
            printf("%s/%s: as %ld: cannot\n", s->group, s->name, uid);
            fflush(stdout);
            _exit(0);
        }
        _cleanup_free_ char *own = xstrdup(text);
        char *rest = own, *one;
        while ((one = strsep(&rest, ";")))
            make_call(s, one + strspn(one, " "));
        fflush(stdout);
        _exit(0);
    }
    int status = 0;
    waitpid(pid, &status, 0);
    if (status)
        printf("%s/%s: child ends with status %x\n", s->group, s->name, status);
}

void script_call(struct script *s, const char *text)
{
    char *end;

    if (!strncmp(text, "child ", 6)) {
        in_child(s, -1, text + 6);
    } else if (!strncmp(text, "as ", 3)) {
        long uid = strtol(text + 3, &end, 10);
        in_child(s, uid, end + 1);
    } else {
        make_call(s, text);
    }
}

/* Given */

static void give_file(const char *name, size_t size, mode_t mode)
{
    _cleanup_close_ int fd = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    _cleanup_free_ char *data = xmalloc(size + 1);

    pattern(data, size, 0, size);
    if (fd < 0 || io_write_full(fd, data, size) < 0)
        fprintf(stderr, "posix: cannot make %s: %s\n", name, strerror(errno));
}

static void give_text(const char *name, const char *text)
{
    _cleanup_close_ int fd = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);

    if (fd < 0 || io_write_full(fd, text, strlen(text)) < 0)
        fprintf(stderr, "posix: cannot make %s: %s\n", name, strerror(errno));
}

static void make_parent(const char *name)
{
    const char *slash = strrchr(name, '/');
    _cleanup_free_ char *parent = slash ? xstrndup(name, slash - name) : NULL;

    if (parent)
        io_make_dirs(AT_FDCWD, parent, 0755);
}

void script_given(struct script *s, const char *text, bool there)
{
    split(s, text + 1);
    const char *kind = s->word[0], *name = s->word[1];

    make_parent(name);
    if (!strcmp(kind, "dir"))
        mkdir(name, 0755);
    else if (there)
        ;
    else if (!strcmp(kind, "file"))
        give_file(name, number(s->word[2]), 0644);
    else if (!strcmp(kind, "exec"))
        give_file(name, number(s->word[2]), 0755);
    else if (!strcmp(kind, "text"))
        give_text(name, s->word[2]);
    else if (symlink(s->word[2], name) < 0)
        fprintf(stderr, "posix: cannot make %s: %s\n", name, strerror(errno));
    drop_words(s);
}

void script_clear(struct script *s)
{
    for (int i = 0; i < SLOTS; i++) {
        if (s->dirs[i])
            closedir(s->dirs[i]);
        if (s->fds[i] >= 0)
            close(s->fds[i]);
        if (s->maps[i].at)
            munmap(s->maps[i].at, s->maps[i].len);
        s->dirs[i] = NULL;
        s->fds[i] = -1;
        s->maps[i].at = NULL;
    }
    umask(022);
    s->ninodes = 0;
}
