#include "base/decode.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/map.h"
#include "base/size.h"
#include "base/str.h"

/* Any VEC(char *) and any VEC of two strings, whatever struct they stand in. */
struct strings {
    VEC(char *);
} __attribute__((may_alias));

struct pair {
    char *key, *value;
} __attribute__((may_alias));

struct pairs {
    VEC(struct pair);
} __attribute__((may_alias));

typedef char *__attribute__((may_alias)) string_field;

static void *field_of(const struct decode_key *k, const void *obj)
{
    return (char *)obj + k->offset;
}

/* ---- findings ---- */

void decode_finding(struct decode *d, const struct yaml_node *node, const char *fmt, ...)
{
    _cleanup_(buf_done) struct buf text = {0};
    va_list ap;

    va_start(ap, fmt);
    buf_vaddf(&text, fmt, ap);
    va_end(ap);
    findings_add(d->findings, d->path, node ? node->line : 1, node ? node->col : 1, d->check, "%s",
                 buf_str(&text));
}

void decode_expected(struct decode *d, const struct yaml_node *node, const char *key,
                     const char *expected)
{
    _cleanup_(buf_done) struct buf found = {0};

    yaml_describe(node, &found);
    decode_finding(d, node, "%s: expected %s, found %s", key, expected, buf_str(&found));
}

const char *decode_string(struct decode *d, const struct yaml_node *node, const char *key)
{
    if (node->kind != YAML_SCALAR || yaml_is_null(node) || strlen(node->text) != node->len) {
        decode_expected(d, node, key, "a string");
        return NULL;
    }
    return node->text;
}

/* How many letters must be changed, put in, left out or swapped with their neighbour; `most` + 1
 * when it is more than that. */
static int distance(const char *a, const char *b, int most)
{
    enum { LONGEST = 40 };
    int la = strlen(a), lb = strlen(b), row[3][LONGEST + 1];

    if (la > LONGEST || lb > LONGEST || abs(la - lb) > most)
        return most + 1;
    for (int j = 0; j <= lb; j++)
        row[0][j] = j;
    for (int i = 1; i <= la; i++) {
        int *now = row[i % 3], *before = row[(i - 1) % 3], *two_before = row[(i + 1) % 3];
        now[0] = i;
        for (int j = 1; j <= lb; j++) {
            int best = before[j - 1] + (a[i - 1] != b[j - 1]);
            best = before[j] + 1 < best ? before[j] + 1 : best;
            best = now[j - 1] + 1 < best ? now[j - 1] + 1 : best;
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                best = two_before[j - 2] + 1 < best ? two_before[j - 2] + 1 : best;
            now[j] = best;
        }
    }
    return row[la % 3][lb];
}

const char *decode_did_you_mean(const char *word, const char *const *names, size_t n)
{
    const char *closest = NULL;
    int least = strlen(word) > 4 ? 3 : 2; /* must be closer than this */

    for (size_t i = 0; i < n; i++) {
        int far = distance(word, names[i], least);
        if (far < least) {
            least = far;
            closest = names[i];
        }
    }
    return closest;
}

static void unknown_key(struct decode *d, const struct yaml_node *key, const char *what,
                        const struct decode_key *keys, size_t nkeys)
{
    _cleanup_(buf_done) struct buf found = {0}, list = {0};
    _cleanup_free_ const char **names = xcalloc(nkeys, sizeof(*names));
    size_t n = 0;

    for (size_t i = 0; i < nkeys; i++)
        if (keys[i].type != DECODE_LATER)
            names[n++] = keys[i].name;
    qsort(names, n, sizeof(*names), str_order);
    for (size_t i = 0; i < n; i++)
        buf_addf(&list, "%s%s", i ? ", " : "", names[i]);
    yaml_describe(key, &found);
    const char *meant = key->kind == YAML_SCALAR ? decode_did_you_mean(key->text, names, n) : NULL;
    decode_finding(d, key, "unknown key %s in %s%s%s%s; expected one of %s", buf_str(&found), what,
                   meant ? " (did you mean \"" : "", meant ? meant : "", meant ? "\"?)" : "",
                   buf_str(&list));
}

/* ---- values: each returns whether the value was right and has been set ---- */

static bool take_string(struct decode *d, const struct decode_key *k, const struct yaml_node *v,
                        char **ret)
{
    const char *text = decode_string(d, v, k->name), *expected;

    if (!text)
        return false;
    if (k->wrong && (expected = k->wrong(text))) {
        decode_expected(d, v, k->name, expected);
        return false;
    }
    *ret = xstrdup(text);
    return true;
}

static bool decode_text(struct decode *d, const struct decode_key *k, const struct yaml_node *v,
                        void *field)
{
    char *text;

    if (!take_string(d, k, v, &text))
        return false;
    free(*(string_field *)field);
    *(string_field *)field = text;
    return true;
}

static bool decode_bool(struct decode *d, const struct decode_key *k, const struct yaml_node *v,
                        void *field)
{
    bool scalar = v->kind == YAML_SCALAR && v->plain, yes = scalar && !strcmp(v->text, "true");

    if (!yes && !(scalar && !strcmp(v->text, "false"))) {
        decode_expected(d, v, k->name,
                        v->kind != YAML_SCALAR || v->plain ? "true or false"
                                                           : "true or false without quotes");
        return false;
    }
    *(bool *)field = yes;
    return true;
}

static int parse_int(const char *s, int64_t *ret)
{
    char *end;

    if (!isdigit((unsigned char)s[*s == '-']))
        return -EINVAL;
    errno = 0;
    *ret = strtoll(s, &end, 10);
    return errno || *end ? -EINVAL : 0;
}

/* The three kinds of numbers. */
static bool decode_number(struct decode *d, const struct decode_key *k, const struct yaml_node *v,
                          void *field)
{
    bool plain = v->kind == YAML_SCALAR && v->plain;
    int64_t most = k->most ? k->most : k->type == DECODE_INT ? INT_MAX : INT64_MAX;
    _cleanup_free_ char *expected = NULL;
    uint64_t size;
    int64_t n;
    int r;

    if (k->type == DECODE_DURATION) {
        char least[CLOCK_TEXT];
        expected = k->least ? xasprintf("a duration of at least %s, such as 500ms, 10s, 5m, 2h",
                                        clock_format_duration(k->least, least))
                            : xstrdup("a duration such as 500ms, 10s, 5m, 2h");
        r = v->kind == YAML_SCALAR ? clock_parse_duration(v->text, &n) : -EINVAL;
    } else if (k->type == DECODE_SIZE) {
        char least[SIZE_TEXT];
        expected = k->least > 1 ? xasprintf("a size of at least %s", size_format(k->least, least))
                                : xstrdup("a size such as 64K, 100M, 10G");
        r = v->kind == YAML_SCALAR ? size_parse(v->text, &size) : -EINVAL;
        n = r ? 0 : (int64_t)size;
    } else {
        expected = k->most ? xasprintf("a whole number from %lld to %lld", (long long)k->least,
                                       (long long)most)
                           : xasprintf("a whole number, at least %lld", (long long)k->least);
        r = plain ? parse_int(v->text, &n) : -EINVAL;
    }
    if (r < 0 || n < k->least || n > most) {
        decode_expected(d, v, k->name, expected);
        return false;
    }
    if (k->type == DECODE_INT)
        *(int *)field = n;
    else
        memcpy(field, &n, sizeof(n));
    return true;
}

static void free_strings(struct strings *s)
{
    vec_foreach (p, s)
        free(*p);
    free(s->v);
    *s = (struct strings){0};
}

static bool decode_strings(struct decode *d, const struct decode_key *k, const struct yaml_node *v,
                           void *field)
{
    struct strings list = {0};
    bool right = true;

    if (v->kind != YAML_SEQUENCE) {
        decode_expected(d, v, k->name, "a list such as [a, b]");
        return false;
    }
    yaml_foreach (item, v) {
        char *text = NULL;
        if (take_string(d, k, item, &text))
            *VEC_ADD(&list) = text;
        else
            right = false;
    }
    if (!right) {
        free_strings(&list);
        return false;
    }
    free_strings(field);
    *(struct strings *)field = list;
    return true;
}

static void free_pairs(struct pairs *p)
{
    vec_foreach (x, p) {
        free(x->key);
        free(x->value);
    }
    free(p->v);
    *p = (struct pairs){0};
}

static int by_key(const void *a, const void *b)
{
    return strcmp(((const struct pair *)a)->key, ((const struct pair *)b)->key);
}

static bool decode_pairs(struct decode *d, const struct decode_key *k, const struct yaml_node *v,
                         void *field)
{
    const struct decode_key key_row = {.name = k->name, .wrong = k->wrong_key};
    struct pairs list = {0};
    bool right = true;

    if (v->kind != YAML_MAPPING) {
        decode_expected(d, v, k->name, "a mapping such as {key: value}");
        return false;
    }
    yaml_foreach_pair (key, value, v) {
        struct pair pair = {0};
        right &= take_string(d, &key_row, key, &pair.key);
        right &= take_string(d, k, value, &pair.value);
        *VEC_ADD(&list) = pair;
    }
    if (!right) {
        free_pairs(&list);
        return false;
    }
    if (list.n)
        qsort(list.v, list.n, sizeof(*list.v), by_key);
    free_pairs(field);
    *(struct pairs *)field = list;
    return true;
}

/* Anything that the types above do not cover: right when nothing was found. */
static bool decode_other(struct decode *d, const struct decode_key *k, const struct yaml_node *v,
                         void *field)
{
    size_t before = findings_count(d->findings);

    if (k->type == DECODE_NODE)
        *(const struct yaml_node **)field = v;
    else if (k->type == DECODE_MAPPING)
        decode_mapping(d, v, k->what, k->keys, k->nkeys, field, NULL);
    else if (k->type == DECODE_CUSTOM)
        k->custom(d, v, field);
    else
        decode_finding(d, v, "%s: not supported by this version", k->name);
    return findings_count(d->findings) == before;
}

bool decode_one(struct decode *d, const struct decode_key *k, const struct yaml_node *v,
                void *field)
{
    switch (k->type) {
    case DECODE_STRING:
        return decode_text(d, k, v, field);
    case DECODE_BOOL:
        return decode_bool(d, k, v, field);
    case DECODE_INT:
    case DECODE_SIZE:
    case DECODE_DURATION:
        return decode_number(d, k, v, field);
    case DECODE_STRINGS:
        return decode_strings(d, k, v, field);
    case DECODE_PAIRS:
        return decode_pairs(d, k, v, field);
    default:
        return decode_other(d, k, v, field);
    }
}

/* ---- mappings ---- */

static const struct decode_key *find_key(const struct decode_key *keys, size_t nkeys,
                                         const struct yaml_node *key)
{
    for (size_t i = 0; key->kind == YAML_SCALAR && i < nkeys; i++)
        if (!strcmp(keys[i].name, key->text))
            return &keys[i];
    return NULL;
}

static void report_missing(struct decode *d, const struct yaml_node *node, const char *what,
                           const struct decode_key *keys, size_t nkeys)
{
    for (size_t i = 0; i < nkeys; i++)
        if (keys[i].required && !yaml_get(node, keys[i].name))
            decode_finding(d, node, "the key \"%s\" is missing in %s", keys[i].name, what);
}

void decode_mapping(struct decode *d, const struct yaml_node *node, const char *what,
                    const struct decode_key *keys, size_t nkeys, void *out,
                    const struct yaml_node **given)
{
    if (!node || node->kind != YAML_MAPPING) {
        _cleanup_(buf_done) struct buf found = {0};
        if (node)
            yaml_describe(node, &found);
        else
            buf_adds(&found, "nothing");
        decode_finding(d, node, "expected %s (a mapping), found %s", what, buf_str(&found));
        return;
    }
    yaml_foreach_pair (key, value, node) {
        const struct decode_key *k = find_key(keys, nkeys, key);
        if (!k)
            unknown_key(d, key, what, keys, nkeys);
        else if (decode_one(d, k, value, field_of(k, out)) && given)
            given[k - keys] = value;
    }
    report_missing(d, node, what, keys, nkeys);
}

static void copy_strings(const struct strings *from, struct strings *to)
{
    free_strings(to);
    vec_foreach (s, from)
        *VEC_ADD(to) = xstrdup(*s);
}

static void copy_pairs(const struct pairs *from, struct pairs *to)
{
    free_pairs(to);
    vec_foreach (p, from)
        *VEC_ADD(to) = (struct pair){xstrdup(p->key), xstrdup(p->value)};
}

static void copy_field(const struct decode_key *k, const void *from, void *to)
{
    switch (k->type) {
    case DECODE_STRING:
        free(*(string_field *)to);
        *(string_field *)to = xstrdup(*(const string_field *)from);
        break;
    case DECODE_STRINGS:
        copy_strings(from, to);
        break;
    case DECODE_PAIRS:
        copy_pairs(from, to);
        break;
    case DECODE_BOOL:
        *(bool *)to = *(const bool *)from;
        break;
    case DECODE_INT:
        *(int *)to = *(const int *)from;
        break;
    case DECODE_SIZE:
    case DECODE_DURATION:
        memcpy(to, from, sizeof(int64_t));
        break;
    default:
        break;
    }
}

void decode_apply(const struct decode_key *keys, size_t nkeys, const struct yaml_node *const *given,
                  const void *from, void *to)
{
    for (size_t i = 0; i < nkeys; i++)
        if (given[i])
            copy_field(&keys[i], field_of(&keys[i], from), field_of(&keys[i], to));
}

void decode_release(const struct decode_key *keys, size_t nkeys, void *obj)
{
    for (size_t i = 0; i < nkeys; i++) {
        void *field = field_of(&keys[i], obj);
        if (keys[i].type == DECODE_STRING) {
            free(*(string_field *)field);
            *(string_field *)field = NULL;
        } else if (keys[i].type == DECODE_STRINGS) {
            free_strings(field);
        } else if (keys[i].type == DECODE_PAIRS) {
            free_pairs(field);
        } else if (keys[i].type == DECODE_MAPPING) {
            decode_release(keys[i].keys, keys[i].nkeys, field);
        }
    }
}
