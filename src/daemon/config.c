#include "daemon/config.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/decode.h"
#include "base/http.h"
#include "base/io.h"
#include "base/json.h"
#include "base/size.h"
#include "check/check.h"
#include "deploy/secret.h"
#include "repo/repo.h"
#include "site/syntax.h"

void config_init(struct config *c)
{
    *c = (struct config){
        .most_inodes = 500000,
        .most_workspaces = 64,
        .most_file_size = UINT64_C(100) << 20,
        .most_workspace_size = UINT64_C(10) << 30,
        .cache = REPO_CACHE,
    };
}

/* ---- what texts are right ---- */

static const char *wrong_absolute(const char *text)
{
    return *text == '/' ? NULL : "an absolute path";
}

/* A path, or the two ways in which Git writes an address; those come with a later version. */
static const char *wrong_repository(const char *text)
{
    size_t n = strcspn(text, "/:");

    if (strstr(text, "://") || (text[n] == ':' && *text != '/'))
        return "a path (this version does not clone from a URL: clone with --mirror and give the "
               "path)";
    return wrong_absolute(text);
}

static const char *wrong_branch(const char *text)
{
    size_t n = strlen(text);
    bool wrong = !n || strpbrk(text, " ~^:?*[\\") || strstr(text, "..") || strstr(text, "@{") ||
                 strstr(text, "//") || strchr("-/.", text[0]) || strchr("/.", text[n - 1]) ||
                 !strncmp(text, "refs/", 5);

    return wrong ? "the short name of a branch, such as main" : NULL;
}

static const char *wrong_argument(const char *text)
{
    return *text ? NULL : "an argument that is not empty";
}

static bool leads_up(const char *path)
{
    for (const char *p = path; (p = strstr(p, "/..")); p += 3)
        if (!p[3] || p[3] == '/')
            return true;
    return false;
}

/* With {site}, so that no two sites publish over each other, and never upwards from there. */
static const char *wrong_directory(const char *text)
{
    static const char expected[] = "an absolute path with {site}, and perhaps {team}, in it";
    const char *rest = text;

    if (*text != '/' || !strstr(text, "{site}") || leads_up(text))
        return expected;
    while ((rest = strpbrk(rest, "{}"))) {
        if (strncmp(rest, "{site}", 6) && strncmp(rest, "{team}", 6))
            return expected;
        rest += 6;
    }
    return NULL;
}

/* {site} and {team}, and no other braces. */
static const char *wrong_url(const char *text)
{
    const char *rest = text;

    while ((rest = strpbrk(rest, "{}"))) {
        if (strncmp(rest, "{site}", 6) && strncmp(rest, "{team}", 6))
            return "an address in which only {site} and {team} are in braces";
        rest += 6;
    }
    return http_wrong_url(text);
}

/* ---- backends ---- */

#define AT(member) offsetof(struct backend_config, member)

/* Looks into the file: that it cannot be used should be known before it is needed. */
static void read_secret_file(struct decode *d, const struct yaml_node *v, void *field)
{
    static const struct decode_key row = {
        .name = "secret_file", .type = DECODE_STRING, .wrong = wrong_absolute};
    _cleanup_(secret_done) struct buf secret = {0};
    _cleanup_(diag_done) struct diag why = {0};

    if (!decode_one(d, &row, v, field))
        return;
    int r = secret_read(v->text, &secret, &why);
    if (r < 0)
        decode_finding(d, v, "%s", diag_text(&why, r));
}

static const struct decode_key http_keys[] = {
    {"secret_file", DECODE_CUSTOM, AT(secret_file), .required = true, .custom = read_secret_file},
    {"url", DECODE_STRING, AT(url), .required = true, .wrong = wrong_url},
};

static void read_factor(struct decode *d, const struct yaml_node *v, void *field)
{
    bool scalar = v->kind == YAML_SCALAR && v->plain && *v->text;
    char *end = NULL;
    double factor = scalar ? strtod(v->text, &end) : 0;

    if (!scalar || *end || !(factor >= 1 && factor <= 100))
        decode_expected(d, v, "factor", "a number from 1 to 100");
    else
        memcpy(field, &factor, sizeof(factor));
}

static void read_command(struct decode *d, const struct yaml_node *v, void *field)
{
    static const struct decode_key row = {
        .name = "exec", .type = DECODE_STRINGS, .wrong = wrong_argument};
    const char *program = v->kind == YAML_SEQUENCE && v->first ? v->first->text : NULL;

    if (v->kind == YAML_SEQUENCE && !v->n)
        decode_expected(d, v, "exec", "a command with its arguments");
    else if (program && v->first->kind == YAML_SCALAR && *program != '/' && strchr(program, '/'))
        decode_expected(d, v->first, "exec",
                        "an absolute path, or a name that is looked up in PATH");
    else
        decode_one(d, &row, v, field);
}

static const struct decode_key retry_keys[] = {
    {"factor", DECODE_CUSTOM, AT(retry.factor), .custom = read_factor},
    {"first", DECODE_DURATION, AT(retry.first), .least = NS_PER_MS},
    {"limit", DECODE_INT, AT(retry.limit), .least = 1, .most = 1000},
    {"longest", DECODE_DURATION, AT(retry.longest), .least = NS_PER_MS},
};

enum { KEY_DIRECTORY, KEY_EXEC, KEY_HTTP, KEY_KEEP, KEY_PRIVILEGES };

static const struct decode_key backend_keys[] = {
    [KEY_DIRECTORY] = {"directory", DECODE_STRING, AT(directory), .wrong = wrong_directory},
    [KEY_EXEC] = {"exec", DECODE_CUSTOM, AT(command), .custom = read_command},
    [KEY_HTTP] = {"http", DECODE_MAPPING, 0, .what = "an http backend", .keys = http_keys,
                  .nkeys = ARRAY_SIZE(http_keys)},
    [KEY_KEEP] = {"keep", DECODE_INT, AT(keep), .least = 1, .most = 100000},
    [KEY_PRIVILEGES] = {"privileges", DECODE_BOOL, AT(privileges)},
    {"concurrency", DECODE_INT, AT(concurrency), .least = 1, .most = 1000},
    {"observe_every", DECODE_DURATION, AT(observe_every)},
    {"retry", DECODE_MAPPING, 0, .what = "a retry", .keys = retry_keys,
     .nkeys = ARRAY_SIZE(retry_keys)},
    {"timeout", DECODE_DURATION, AT(timeout), .least = NS_PER_MS},
};

static void backend_done(struct backend_config *b)
{
    decode_release(backend_keys, ARRAY_SIZE(backend_keys), b);
    vec_foreach (argument, &b->command)
        free(*argument);
    free(b->command.v);
    free(b->secret_file);
    free(b->name);
}

/* Exactly one of the keys that say what kind of backend it is, and no key of another kind. */
static void check_kind(struct decode *d, const struct yaml_node *v, struct backend_config *b)
{
    static const enum backend_kind kinds[] = {
        [KEY_DIRECTORY] = BACKEND_DIRECTORY, [KEY_EXEC] = BACKEND_EXEC, [KEY_HTTP] = BACKEND_HTTP};
    const struct yaml_node *keep = yaml_get(v, "keep"), *privileges = yaml_get(v, "privileges");
    int given = 0;

    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
        const struct yaml_node *found = yaml_get(v, backend_keys[i].name);
        if (found && given++)
            decode_finding(d, found, "a backend has one of \"directory\", \"exec\" and \"http\"");
        else if (found)
            b->kind = kinds[i];
    }
    if (!given && v->kind == YAML_MAPPING)
        decode_finding(d, v, "a backend needs \"directory\", \"exec\" or \"http\"");
    if (given && b->kind != BACKEND_DIRECTORY && keep)
        decode_finding(d, keep, "keep: only for \"directory\" backends");
    if (given && b->kind != BACKEND_EXEC && privileges)
        decode_finding(d, privileges, "privileges: only for \"exec\" backends");
}

static void read_backends(struct decode *d, const struct yaml_node *v, void *field)
{
    struct config *c = field;

    if (v->kind != YAML_MAPPING) {
        decode_expected(d, v, "backends", "a mapping from names to backends");
        return;
    }
    yaml_foreach_pair (key, value, v) {
        struct backend_config *b = VEC_ADD(&c->backends);
        const char *name = decode_string(d, key, "backends");
        *b = (struct backend_config)BACKEND_DEFAULTS;
        decode_mapping(d, value, "a backend", backend_keys, ARRAY_SIZE(backend_keys), b, NULL);
        check_kind(d, value, b);
        b->name = xstrdup_or_null(name);
        const char *expected = name ? syntax_name(name) : NULL;
        if (expected)
            decode_expected(d, key, "backends", expected);
    }
}

/* ---- checks ---- */

#undef AT
#define AT(member) offsetof(struct check_config, member)

static const char *wrong_glob(const char *text)
{
    return !strcmp(text, ".") || syntax_path(text)
               ? "a glob relative to the root of the repository, such as \"**/*.yaml\""
               : NULL;
}

static const struct decode_key check_keys[] = {
    {"exec", DECODE_CUSTOM, AT(command), .required = true, .custom = read_command},
    {"paths", DECODE_STRINGS, AT(paths), .wrong = wrong_glob},
    {"timeout", DECODE_DURATION, AT(timeout), .least = NS_PER_MS},
};

static void check_done(struct check_config *c)
{
    decode_release(check_keys, ARRAY_SIZE(check_keys), c);
    vec_foreach (argument, &c->command)
        free(*argument);
    free(c->command.v);
    free(c->name);
}

static void read_checks(struct decode *d, const struct yaml_node *v, void *field)
{
    struct config *c = field;

    if (v->kind != YAML_MAPPING) {
        decode_expected(d, v, "checks", "a mapping from names to checks");
        return;
    }
    yaml_foreach_pair (key, value, v) {
        struct check_config *check = VEC_ADD(&c->checks);
        const char *name = decode_string(d, key, "checks");
        *check = (struct check_config)CHECK_DEFAULTS;
        decode_mapping(d, value, "a check", check_keys, ARRAY_SIZE(check_keys), check, NULL);
        check->name = xstrdup_or_null(name);
        const char *expected = name ? syntax_name(name) : NULL;
        if (name && check_is_builtin(name))
            expected = "a name of its own: this check is built in";
        if (expected)
            decode_expected(d, key, "checks", expected);
    }
}

/* ---- identities ---- */

/* "Ann Lee <ann@example.org>". */
static bool split_identity(const char *text, struct identity *ret)
{
    size_t open = strcspn(text, "<>"), name = open, len = strlen(text);

    while (name && text[name - 1] == ' ')
        name--;
    if (!name || *text == ' ' || text[open] != '<' || text[len - 1] != '>' || len - open < 3)
        return false;
    size_t email = len - open - 2;
    if (strcspn(text + open + 1, "<> ") != email)
        return false;
    for (const char *p = text; *p; p++)
        if ((unsigned char)*p < 0x20 || *p == 0x7f)
            return false;
    ret->name = xstrndup(text, name);
    ret->email = xstrndup(text + open + 1, email);
    return true;
}

static bool parse_uid(const struct yaml_node *key, uid_t *ret)
{
    char *end;

    if (key->kind != YAML_SCALAR || *key->text < '0' || *key->text > '9')
        return false;
    errno = 0;
    unsigned long uid = strtoul(key->text, &end, 10);
    *ret = uid;
    return !errno && !*end && uid < UINT32_MAX;
}

static void read_identities(struct decode *d, const struct yaml_node *v, void *field)
{
    struct config *c = field;

    if (v->kind != YAML_MAPPING) {
        decode_expected(d, v, "identities",
                        "a mapping such as {1000: \"Ann Lee <ann@example.org>\"}");
        return;
    }
    yaml_foreach_pair (key, value, v) {
        struct identity id = {0};
        if (!parse_uid(key, &id.uid))
            decode_expected(d, key, "identities", "a uid such as 1000");
        if (value->kind == YAML_SCALAR && split_identity(value->text, &id))
            *VEC_ADD(&c->identities) = id;
        else
            decode_expected(d, value, "identities", "\"Name <address>\"");
    }
}

/* ---- the file ---- */

#undef AT
#define AT(member) offsetof(struct config, member)

/* With less, files of less than 64 KiB would be read by way of the disk. */
#define CACHE_LEAST  (4 << 20)
#define INODES_LEAST 1000

static const struct decode_key limit_keys[] = {
    {"cache", DECODE_SIZE, AT(cache), .least = CACHE_LEAST},
    {"file_size", DECODE_SIZE, AT(most_file_size), .least = 1},
    {"inodes", DECODE_INT, AT(most_inodes), .least = INODES_LEAST, .most = 1000000000},
    {"workspace_size", DECODE_SIZE, AT(most_workspace_size), .least = 1},
    {"workspaces", DECODE_INT, AT(most_workspaces), .least = 1, .most = 100000},
};

static const struct decode_key keys[] = {
    {"backends", DECODE_CUSTOM, 0, .custom = read_backends},
    {"branch", DECODE_STRING, AT(branch), .wrong = wrong_branch},
    {"checks", DECODE_CUSTOM, 0, .custom = read_checks},
    {"identities", DECODE_CUSTOM, 0, .custom = read_identities},
    {"limits", DECODE_MAPPING, 0, .what = "the limits", .keys = limit_keys,
     .nkeys = ARRAY_SIZE(limit_keys)},
    {"mountpoint", DECODE_STRING, AT(mountpoint), .wrong = wrong_absolute},
    {"repository", DECODE_STRING, AT(repository), .wrong = wrong_repository},
    {"state", DECODE_STRING, AT(state), .wrong = wrong_absolute},
    {"control_group", DECODE_LATER},
    {"fetch", DECODE_LATER},
    {"lease", DECODE_LATER},
    {"offline", DECODE_LATER},
    {"trust", DECODE_LATER},
};

void config_done(struct config *c)
{
    decode_release(keys, ARRAY_SIZE(keys), c);
    vec_foreach (b, &c->backends)
        backend_done(b);
    free(c->backends.v);
    vec_foreach (check, &c->checks)
        check_done(check);
    free(c->checks.v);
    vec_foreach (i, &c->identities) {
        free(i->name);
        free(i->email);
    }
    free(c->identities.v);
    *c = (struct config){0};
}

int config_load(const char *path, struct config *ret, struct findings *findings,
                struct diag *reterr)
{
    struct decode d = {.path = path, .check = "config", .findings = findings};
    _cleanup_(buf_done) struct buf text = {0};
    _cleanup_(config_done) struct config c;
    size_t before = findings_count(findings), first = findings->n;
    int r = io_read_file(AT_FDCWD, path, CONFIG_SIZE, &text);

    config_init(&c);
    if (r < 0)
        return diag_fail(reterr, r, "cannot read the configuration %s: %s", path, strerror(-r));
    _cleanup_(yaml_donep) struct yaml *doc =
        yaml_read(path, d.check, buf_str(&text), text.len, findings);
    if (doc && doc->root)
        decode_mapping(&d, doc->root, "the configuration", keys, ARRAY_SIZE(keys), &c, NULL);
    findings_sort(findings, first);
    if (findings_count(findings) != before)
        return diag_fail(reterr, -EINVAL, "the configuration %s is wrong", path);
    *ret = c;
    c = (struct config){0};
    return 0;
}

/* ---- the configuration in force ---- */

/* A string as JSON writes it, which is YAML, too. */
static void add_string(struct buf *out, const char *text)
{
    json_t *holder = json_object();

    json_put_str(holder, "s", text);
    json_write(json_object_get(holder, "s"), 0, out);
    json_decref(holder);
}

static void add_line(struct buf *out, const char *key, const char *text)
{
    if (!text)
        return;
    buf_addf(out, "%s: ", key);
    add_string(out, text);
    buf_addc(out, '\n');
}

/* In one unit, as the parser takes it. */
static char *format_duration(int64_t ns, char out[CLOCK_TEXT])
{
    static const struct {
        const char *unit;
        int64_t ns;
    } units[] = {{"h", 3600 * NS_PER_SEC}, {"m", 60 * NS_PER_SEC}, {"s", NS_PER_SEC}};
    size_t i = 0;

    while (i < ARRAY_SIZE(units) && (!ns || ns % units[i].ns))
        i++;
    if (i < ARRAY_SIZE(units))
        snprintf(out, CLOCK_TEXT, "%" PRId64 "%s", ns / units[i].ns, units[i].unit);
    else
        snprintf(out, CLOCK_TEXT, "%" PRId64 "ms", ns / NS_PER_MS);
    return out;
}

static void add_list(struct buf *out, const char *key, char *const *words, size_t n)
{
    buf_addf(out, "    %s: [", key);
    for (size_t i = 0; i < n; i++) {
        buf_adds(out, i ? ", " : "");
        add_string(out, words[i]);
    }
    buf_adds(out, "]\n");
}

static void add_kind(struct buf *out, const struct backend_config *b)
{
    if (b->kind == BACKEND_DIRECTORY) {
        add_line(out, "    directory", b->directory);
        buf_addf(out, "    keep: %d\n", b->keep);
        return;
    }
    if (b->kind == BACKEND_EXEC) {
        add_list(out, "exec", b->command.v, b->command.n);
        buf_addf(out, "    privileges: %s\n", b->privileges ? "true" : "false");
        return;
    }
    buf_adds(out, "    http:\n");
    add_line(out, "      url", b->url);
    add_line(out, "      secret_file", b->secret_file);
}

static void add_backend(struct buf *out, const struct backend_config *b)
{
    char text[CLOCK_TEXT];

    buf_adds(out, "  ");
    add_string(out, b->name);
    buf_adds(out, ":\n");
    add_kind(out, b);
    buf_addf(out, "    timeout: %s\n", format_duration(b->timeout, text));
    buf_addf(out, "    concurrency: %d\n", b->concurrency);
    buf_addf(out, "    retry: {limit: %d, factor: %.15g, ", b->retry.limit, b->retry.factor);
    buf_addf(out, "first: %s, ", format_duration(b->retry.first, text));
    buf_addf(out, "longest: %s}\n", format_duration(b->retry.longest, text));
    buf_addf(out, "    observe_every: %s\n", format_duration(b->observe_every, text));
}

static void add_check(struct buf *out, const struct check_config *c)
{
    char text[CLOCK_TEXT];

    buf_adds(out, "  ");
    add_string(out, c->name);
    buf_adds(out, ":\n");
    add_list(out, "exec", c->command.v, c->command.n);
    if (c->paths.n)
        add_list(out, "paths", c->paths.v, c->paths.n);
    buf_addf(out, "    timeout: %s\n", format_duration(c->timeout, text));
}

void config_render(const struct config *c, struct buf *out)
{
    char cache[SIZE_TEXT], file_size[SIZE_TEXT], workspace_size[SIZE_TEXT];

    add_line(out, "repository", c->repository);
    add_line(out, "mountpoint", c->mountpoint);
    add_line(out, "branch", c->branch);
    add_line(out, "state", c->state);
    if (c->backends.n)
        buf_adds(out, "backends:\n");
    vec_foreach (b, &c->backends)
        add_backend(out, b);
    if (c->checks.n)
        buf_adds(out, "checks:\n");
    vec_foreach (check, &c->checks)
        add_check(out, check);
    if (c->identities.n)
        buf_adds(out, "identities:\n");
    vec_foreach (i, &c->identities) {
        _cleanup_free_ char *who = xasprintf("%s <%s>", i->name, i->email);
        buf_addf(out, "  %u: ", i->uid);
        add_string(out, who);
        buf_addc(out, '\n');
    }
    buf_addf(out,
             "limits:\n  cache: %s\n  file_size: %s\n  inodes: %d\n  workspaces: %d\n"
             "  workspace_size: %s\n",
             size_format(c->cache, cache), size_format(c->most_file_size, file_size),
             c->most_inodes, c->most_workspaces,
             size_format(c->most_workspace_size, workspace_size));
}
