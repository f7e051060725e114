#include <ctype.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "base/utf8.h"
#include "check/builtin.h"

/* A reader of its own, since a check keeps nothing: jansson would build the document, and refuse
 * numbers that no double holds. */

struct place {
    const char *at;
    int line, col;
};

/* An object or an array that is open. */
struct frame {
    bool object;
    struct map keys; /* of an object: key → where it is */
};

struct reading {
    const char *path;
    struct findings *findings;
    const char *p, *end; /* *end is 0 */
    struct place known;  /* a place not behind any that is asked for next */
    VEC(struct frame) open;
    struct buf key; /* the last string, with its escapes resolved */
};

/* Line and column of `at`, in characters. Places are asked for in order, so the file is walked
 * once. */
static struct place place_of(struct reading *r, const char *at)
{
    struct place *k = &r->known;

    for (; k->at < at; k->at++) {
        if (*k->at == '\n') {
            k->line++;
            k->col = 1;
        } else if ((k->at[1] & 0xc0) != 0x80) {
            k->col++;
        }
    }
    return *k;
}

static bool fail(struct reading *r, const char *at, const char *expected)
{
    struct place p = place_of(r, at);
    int n = utf8_len(at);

    if (at == r->end)
        findings_add(r->findings, r->path, p.line, p.col, "json",
                     "expected %s, found the end of the file", expected);
    else if (n && (unsigned char)*at > 0x20)
        findings_add(r->findings, r->path, p.line, p.col, "json", "expected %s, found '%.*s'",
                     expected, n, at);
    else
        findings_add(r->findings, r->path, p.line, p.col, "json", "expected %s, found byte 0x%02x",
                     expected, (unsigned char)*at);
    return false;
}

static void skip_blanks(struct reading *r)
{
    while (r->p < r->end && strchr(" \t\r\n", *r->p) && *r->p)
        r->p++;
}

/* ---- values without parts: each leaves `p` behind the value, or adds a finding ---- */

static bool read_unicode(struct reading *r)
{
    unsigned c = 0;

    for (int i = 1; i <= 4; i++) {
        int digit = (unsigned char)r->p[i];
        if (!isxdigit(digit))
            return fail(r, r->p + i, "four hex digits after \\u");
        c = c * 16 + (isdigit(digit) ? digit - '0' : (digit | 0x20) - 'a' + 10);
    }
    /* UTF-8 with each half of a pair on its own and two bytes for NUL: good enough to compare keys.
     */
    if (c >= 0x800)
        buf_addf(&r->key, "%c%c%c", 0xe0 | c >> 12, 0x80 | (c >> 6 & 0x3f), 0x80 | (c & 0x3f));
    else if (c >= 0x80 || !c)
        buf_addf(&r->key, "%c%c", 0xc0 | c >> 6, 0x80 | (c & 0x3f));
    else
        buf_addc(&r->key, c);
    r->p += 5;
    return true;
}

static bool read_escape(struct reading *r)
{
    static const char letters[] = "\"\\/bfnrt", meant[] = "\"\\/\b\f\n\r\t";
    const char *at;

    r->p++;
    if (*r->p == 'u')
        return read_unicode(r);
    if (!*r->p || !(at = strchr(letters, *r->p)))
        return fail(r, r->p, "one of \" \\ / b f n r t u after \\");
    buf_addc(&r->key, meant[at - letters]);
    r->p++;
    return true;
}

static bool read_string(struct reading *r)
{
    buf_clear(&r->key);
    for (r->p++; *r->p != '"';) {
        int n = utf8_len(r->p);
        if (r->p == r->end || (unsigned char)*r->p < 0x20)
            return fail(r, r->p, "the closing \" of a string (control characters are escaped)");
        if (!n)
            return fail(r, r->p, "UTF-8");
        if (*r->p == '\\') {
            if (!read_escape(r))
                return false;
        } else {
            buf_add(&r->key, r->p, n);
            r->p += n;
        }
    }
    r->p++;
    return true;
}

static bool read_digits(struct reading *r)
{
    if (!isdigit((unsigned char)*r->p))
        return fail(r, r->p, "a digit");
    while (isdigit((unsigned char)*r->p))
        r->p++;
    return true;
}

static bool read_number(struct reading *r)
{
    r->p += *r->p == '-';
    if (*r->p == '0' && isdigit((unsigned char)r->p[1]))
        return fail(r, r->p, "a number without leading zeros");
    if (!read_digits(r))
        return false;
    if (*r->p == '.') {
        r->p++;
        if (!read_digits(r))
            return false;
    }
    if (*r->p == 'e' || *r->p == 'E') {
        r->p++;
        r->p += *r->p == '+' || *r->p == '-';
        return read_digits(r);
    }
    return true;
}

static bool read_word(struct reading *r)
{
    static const char *const words[] = {"true", "false", "null"};

    for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++)
        if (!strncmp(r->p, words[i], strlen(words[i]))) {
            r->p += strlen(words[i]);
            return true;
        }
    return fail(r, r->p, "a value");
}

/* ---- objects and arrays ---- */

static void close_frame(struct reading *r)
{
    map_done(&r->open.v[--r->open.n].keys, NULL);
}

/* Reads a key and its colon. */
static bool read_key(struct reading *r, const char *expected)
{
    struct frame *f = &r->open.v[r->open.n - 1];
    const char *at = r->p;

    if (*r->p != '"')
        return fail(r, r->p, expected);
    if (!read_string(r))
        return false;
    const char *before = map_get(&f->keys, buf_str(&r->key));
    struct place p = place_of(r, at);
    if (before)
        findings_add(r->findings, r->path, p.line, p.col, "json",
                     "duplicate key \"%.*s\": the first one is on line %zu",
                     (int)utf8_cut(buf_str(&r->key), 60), buf_str(&r->key), (size_t)before);
    else
        map_put(&f->keys, buf_str(&r->key), (void *)(size_t)p.line);
    skip_blanks(r);
    if (*r->p != ':')
        return fail(r, r->p, "':' after the key");
    r->p++;
    return true;
}

/* Reads "{" or "[", and what must follow so that a value comes next. *ret_empty: none does. */
static bool open_frame(struct reading *r, bool *ret_empty)
{
    bool object = *r->p == '{';

    if (r->open.n == CHECK_JSON_DEPTH)
        return fail(r, r->p, "less nesting");
    r->p++;
    skip_blanks(r);
    *ret_empty = *r->p == (object ? '}' : ']');
    if (*ret_empty) {
        r->p++;
        return true;
    }
    *VEC_ADD(&r->open) = (struct frame){.object = object};
    return !object || read_key(r, "a key in quotes, or '}'");
}

/* Reads a value, or the beginning of one (*ret_done false). */
static bool read_value(struct reading *r, bool *ret_done)
{
    skip_blanks(r);
    *ret_done = true;
    if (*r->p == '{' || *r->p == '[')
        return open_frame(r, ret_done);
    if (*r->p == '"')
        return read_string(r);
    if (*r->p == '-' || isdigit((unsigned char)*r->p))
        return read_number(r);
    return read_word(r);
}

/* Behind a value: closes what ends here, up to the comma that another value follows, or the end of
 * the document (*ret_more false). */
static bool read_end(struct reading *r, bool *ret_more)
{
    for (;;) {
        skip_blanks(r);
        *ret_more = r->open.n > 0;
        if (!r->open.n)
            return r->p == r->end || fail(r, r->p, "nothing more");
        bool object = r->open.v[r->open.n - 1].object;
        if (*r->p == ',') {
            r->p++;
            skip_blanks(r);
            return !object || read_key(r, "a key in quotes after ','");
        }
        if (*r->p != (object ? '}' : ']'))
            return fail(r, r->p, object ? "',' or '}'" : "',' or ']'");
        r->p++;
        close_frame(r);
    }
}

void check_json(const char *path, const char *data, size_t len, struct findings *findings)
{
    struct reading r = {
        .path = path, .findings = findings, .p = data, .end = data + len, .known = {data, 1, 1}};
    bool more = true, done;

    while (more && !findings->left_out && read_value(&r, &done))
        if (done && !read_end(&r, &more))
            break;
    while (r.open.n)
        close_frame(&r);
    free(r.open.v);
    buf_done(&r.key);
}
