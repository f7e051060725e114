#include "daemon/options.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/cleanup.h"

/* All options, once. `flag` and `value` are offsets of what they set; a name without either is
 * passed to libfuse or the kernel. */
#define NOWHERE  ((size_t)-1)
#define FLAG(m)  .flag = offsetof(struct options, m), .value = NOWHERE
#define VALUE(m) .flag = NOWHERE, .value = offsetof(struct options, m)
#define PASS     .flag = NOWHERE, .value = NOWHERE

static const struct option {
    const char *name; /* "-f", "--config", or a name for -o */
    const char *arg;  /* what --help calls its value (with '|': the only ones); NULL: none */
    const char *help; /* NULL: accepted (fstab), not worth a line */
    size_t flag, value;
} table[] = {
    {"-f", NULL, "stay in the foreground, log to standard error", FLAG(foreground)},
    {"-v", NULL, "log more", FLAG(verbose)},
    {"-h", NULL, NULL, FLAG(help)},
    {"--help", NULL, "this help", FLAG(help)},
    {"-V", NULL, NULL, FLAG(version)},
    {"--version", NULL, "the version", FLAG(version)},
    {"--config", "FILE", "the host's configuration (default /etc/onwardfs/config.yaml, if there)",
     VALUE(config)},
    {"--upgrade", "MOUNTPOINT", "have that mount served by this program from now on",
     VALUE(upgrade)},
    {"supervise", NULL, "keep the mount when the process that serves it dies", FLAG(supervise)},
    {"ro", NULL, "read-only: no staging, no commands", FLAG(read_only)},
    {"noreconcile", NULL, "only show: never start a backend", FLAG(no_reconcile)},
    {"allow_other", NULL, "let other users in; their rights are checked", FLAG(allow_other)},
    {"default_permissions", NULL, "check yours, too", FLAG(default_permissions)},
    {"branch", "NAME", "the mainline (default main, else the branch that HEAD names)",
     VALUE(branch)},
    {"state", "DIR", "where workspaces live", VALUE(state)},
    {"mtime", "revision|change",
     "a file's time: that of the revision (default), or of its last change", VALUE(mtime)},
    {"config", "FILE", "the same as --config FILE", VALUE(config)},
    {"rw", NULL, NULL, PASS},
    {"dev", NULL, NULL, PASS},
    {"nodev", NULL, NULL, PASS},
    {"suid", NULL, NULL, PASS},
    {"nosuid", NULL, NULL, PASS},
    {"exec", NULL, NULL, PASS},
    {"noexec", NULL, "programs in the mount cannot be run", PASS},
    {"atime", NULL, NULL, PASS},
    {"noatime", NULL, NULL, PASS},
    {"auto_unmount", NULL, "unmount when the daemon dies", PASS},
};

/* Words of mount(8) and fstab that mean nothing to a filesystem. */
static const char *const ignored[] = {
    "defaults", "auto",   "noauto", "user",     "nouser",      "users",
    "_netdev",  "nofail", "async",  "relatime", "strictatime", "lazytime",
};
#define IGNORED_PREFIX "x-"

void options_done(struct options *o)
{
    free(o->repository);
    free(o->mountpoint);
    free(o->config);
    free(o->branch);
    free(o->state);
    free(o->mtime);
    free(o->upgrade);
    buf_done(&o->fuse);
    *o = (struct options){0};
}

void options_usage(struct buf *out)
{
    buf_adds(out,
             "usage: onwardfs [-f] [-o OPTION,…] [--config FILE] REPOSITORY MOUNTPOINT\n"
             "Mounts a Git repository of infrastructure configuration. See man 8 onwardfs.\n\n");
    for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
        const struct option *o = &table[i];
        if (!o->help)
            continue;
        _cleanup_free_ char *left =
            xasprintf("%s%s%s%s", *o->name == '-' ? "" : "-o ", o->name,
                      o->arg ? (*o->name == '-' ? " " : "=") : "", o->arg ? o->arg : "");
        buf_addf(out, "  %-26s %s\n", left, o->help);
    }
}

static const struct option *find(const char *name, size_t len)
{
    for (size_t i = 0; i < ARRAY_SIZE(table); i++)
        if (strlen(table[i].name) == len && !strncmp(table[i].name, name, len))
            return &table[i];
    return NULL;
}

static void apply(struct options *to, const struct option *o, const char *value)
{
    if (o->flag != NOWHERE) {
        *(bool *)((char *)to + o->flag) = true;
    } else if (o->value != NOWHERE) {
        char **at = (char **)((char *)to + o->value);
        free(*at);
        *at = xstrdup(value);
    } else {
        buf_addf(&to->fuse, "%s%s", to->fuse.len ? "," : "", o->name);
    }
}

static bool is_ignored(const char *word)
{
    for (size_t i = 0; i < ARRAY_SIZE(ignored); i++)
        if (!strcmp(word, ignored[i]))
            return true;
    return !strncmp(word, IGNORED_PREFIX, strlen(IGNORED_PREFIX));
}

/* Whether `value` is one of the words of `choices`, which are separated by '|'. */
static bool is_choice(const char *choices, const char *value)
{
    size_t len = strlen(value);

    for (const char *p = choices; p; p = strchr(p, '|') ? strchr(p, '|') + 1 : NULL)
        if (!strncmp(p, value, len) && (!p[len] || p[len] == '|'))
            return true;
    return false;
}

/* One word of -o: NAME or NAME=VALUE. */
static int parse_word(struct options *to, const char *word, struct diag *reterr)
{
    size_t len = strcspn(word, "=");
    const struct option *o = find(word, len);

    if (!*word || is_ignored(word))
        return 0;
    if (!o || *word == '-')
        return diag_fail(reterr, -EINVAL, "unknown option -o %s; see onwardfs --help", word);
    bool has_value = word[len] && word[len + 1];
    if (!o->arg != !has_value)
        return diag_fail(reterr, -EINVAL,
                         o->arg ? "option -o %s needs a value: -o %s=%s"
                                : "option -o %s takes no value",
                         o->name, o->name, o->arg ? o->arg : "");
    const char *value = has_value ? word + len + 1 : NULL;
    if (value && strchr(o->arg, '|') && !is_choice(o->arg, value))
        return diag_fail(reterr, -EINVAL, "option -o %s cannot be %s: -o %s=%s", o->name, value,
                         o->name, o->arg);
    apply(to, o, value);
    return 0;
}

static int parse_words(struct options *to, const char *words, struct diag *reterr)
{
    _cleanup_free_ char *copy = xstrdup(words);
    char *rest = copy, *word;
    int r = 0;

    while (r == 0 && (word = strsep(&rest, ",")))
        r = parse_word(to, word, reterr);
    return r;
}

/* An argument that begins with '-'; `next` is what follows it. Returns 1 when it took `next`. */
static int parse_dashed(struct options *to, const char *arg, const char *next, struct diag *reterr)
{
    if (!strncmp(arg, "-o", 2)) {
        const char *words = arg[2] ? arg + 2 : next;
        int r =
            words ? parse_words(to, words, reterr) : diag_fail(reterr, -EINVAL, "-o needs a value");
        return r < 0 ? r : !arg[2];
    }
    size_t len = strcspn(arg, "=");
    const struct option *o = find(arg, len);
    if (!o || (!o->arg && arg[len]))
        return diag_fail(reterr, -EINVAL, "unknown option %s; see onwardfs --help", arg);
    if (!o->arg) {
        apply(to, o, NULL);
        return 0;
    }
    const char *value = arg[len] ? arg + len + 1 : next;
    if (!value)
        return diag_fail(reterr, -EINVAL, "%s needs a value: %s %s", o->name, o->name, o->arg);
    apply(to, o, value);
    return !arg[len];
}

int options_parse(int argc, char **argv, struct options *ret, struct diag *reterr)
{
    _cleanup_(options_done) struct options o = {0};

    for (int i = 1; i < argc; i++) {
        char **place = !o.repository ? &o.repository : !o.mountpoint ? &o.mountpoint : NULL;
        if (argv[i][0] == '-' && argv[i][1]) {
            int r = parse_dashed(&o, argv[i], argv[i + 1], reterr);
            if (r < 0)
                return r;
            i += r;
        } else if (!place) {
            return diag_fail(reterr, -EINVAL, "too many arguments: %s; see onwardfs --help",
                             argv[i]);
        } else {
            *place = xstrdup(argv[i]);
        }
    }
    if (o.supervise && strstr(buf_str(&o.fuse), "auto_unmount"))
        return diag_fail(reterr, -EINVAL,
                         "-o supervise keeps the mount when the daemon dies, -o auto_unmount ends "
                         "it: give one of them");
    if (o.repository && !o.mountpoint)
        return diag_fail(reterr, -EINVAL,
                         "no mount point given; usage: onwardfs REPOSITORY MOUNTPOINT");
    *ret = o;
    o = (struct options){0};
    return 0;
}
