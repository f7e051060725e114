#include "base/yaml.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "base/alloc.h"
#include "base/map.h"
#include "base/utf8.h"

#define CHUNK   65536
#define EXCERPT 60

/* Nodes and texts of a document come from chunks that are freed together. */
struct yaml_chunk {
    struct yaml_chunk *next;
    size_t used, size;
    _Alignas(8) char bytes[];
};

/* A collection that is being read. */
struct frame {
    struct yaml_node *node;  /* NULL when no tree is built */
    struct yaml_node **last; /* where the next child goes */
    bool mapping, is_value;  /* is_value: the next child is a value, not a key */
    char *anchor;
    struct map keys; /* of a mapping: key → line of it, as a pointer */
};

struct reading {
    yaml_parser_t parser;
    const char *path, *check;
    struct findings *findings;
    struct yaml *doc; /* NULL: only check */
    VEC(struct frame) open;
    struct map
        anchors; /* of this document: name → node, or the reading itself when no tree is built */
    size_t aliased;
    size_t documents;
    size_t lines_before; /* the parser began after so many lines of the file */
};

static void *doc_alloc(struct yaml *doc, size_t size)
{
    struct yaml_chunk *c = doc->chunks;

    size = (size + 7) & ~(size_t)7;
    if (!c || c->size - c->used < size) {
        size_t room = size > CHUNK ? size : CHUNK;
        c = xmalloc(sizeof(*c) + room);
        *c = (struct yaml_chunk){.next = doc->chunks, .size = room};
        doc->chunks = c;
    }
    void *p = c->bytes + c->used;
    c->used += size;
    return p;
}

void yaml_done(struct yaml *y)
{
    if (!y)
        return;
    for (struct yaml_chunk *c = y->chunks, *next; c; c = next) {
        next = c->next;
        free(c);
    }
    free(y);
}

/* How many bytes of `s` a message shows. */
static int excerpt(const char *s)
{
    return utf8_cut(s, EXCERPT);
}

static void finding_at(struct reading *r, yaml_mark_t at, const char *message)
{
    findings_add(r->findings, r->path, r->lines_before + at.line + 1, at.column + 1, r->check, "%s",
                 message);
}

/* ---- syntax errors ---- */

/* What libyaml says, and what a person does about it. */
static const struct hint {
    const char *problem, *hint;
} hints[] = {
    {"mapping values are not allowed in this context",
     "the indentation is wrong, or a value with \": \" in it needs quotes"},
    {"found character that cannot start any token",
     "indent by blanks, not by tabs; a value that begins with @, ` or % needs quotes"},
    {"found a tab character that violates indentation", "indent by blanks, not by tabs"},
    {"did not find expected key", "expected a key, indented like the keys above it"},
    {"could not find expected ':'", "expected \"key: value\""},
    {"did not find expected '-' indicator", "expected \"- \", indented like the items above it"},
    {"did not find expected ',' or ']'", "a list that begins with [ is not closed"},
    {"did not find expected ',' or '}'", "a mapping that begins with { is not closed"},
    {"did not find expected node content", "expected a value; perhaps [ or { is not closed"},
    {"found unexpected end of stream", "a quote is not closed"},
    {"did not find expected <document start>", "expected nothing more, or a line with \"---\""},
    {"invalid leading UTF-8 octet", "expected UTF-8"},
    {"invalid trailing UTF-8 octet", "expected UTF-8"},
};

/* The reader's errors come with a byte offset only. */
static yaml_mark_t mark_of_offset(const yaml_parser_t *p)
{
    const unsigned char *s = p->input.string.start;
    yaml_mark_t at = {0};

    for (size_t i = 0; i < p->problem_offset && s + i < p->input.string.end; i++) {
        if (s[i] == '\n') {
            at.line++;
            at.column = 0;
        } else if ((s[i] & 0xc0) != 0x80) {
            at.column++;
        }
    }
    return at;
}

static yaml_mark_t syntax_error(struct reading *r)
{
    const yaml_parser_t *p = &r->parser;
    const char *problem = p->problem ? p->problem : "cannot be read";
    yaml_mark_t at = p->error == YAML_READER_ERROR ? mark_of_offset(p) : p->problem_mark;
    _cleanup_(buf_done) struct buf text = {0};

    buf_adds(&text, problem);
    if (p->context && p->context_mark.line != at.line)
        buf_addf(&text, " %s that begins on line %zu", p->context,
                 r->lines_before + p->context_mark.line + 1);
    for (size_t i = 0; i < ARRAY_SIZE(hints); i++)
        if (!strcmp(problem, hints[i].problem))
            buf_addf(&text, ": %s", hints[i].hint);
    finding_at(r, at, buf_str(&text));
    return at;
}

/* ---- the tree ---- */

static struct yaml_node *node_new(struct yaml *doc, enum yaml_kind kind, int line, int col)
{
    struct yaml_node *n = doc_alloc(doc, sizeof(*n));

    *n = (struct yaml_node){.kind = kind, .line = line, .col = col};
    return n;
}

static void node_set_text(struct yaml *doc, struct yaml_node *n, const void *text, size_t len)
{
    n->text = doc_alloc(doc, len + 1);
    memcpy(n->text, text, len);
    n->text[len] = 0;
    n->len = len;
}

/* A copy of what an alias names, at the place of the alias. NULL when the budget is spent. */
static struct yaml_node *node_copy(struct reading *r, const struct yaml_node *from, yaml_mark_t at)
{
    if (++r->aliased > YAML_ALIASED)
        return NULL;
    struct yaml_node *to = node_new(r->doc, from->kind, at.line + 1, at.column + 1);
    to->plain = from->plain;
    if (from->kind == YAML_SCALAR) {
        to->text = from->text;
        to->len = from->len;
        return to;
    }
    struct yaml_node **last = &to->first;
    yaml_foreach (child, from) {
        if (!(*last = node_copy(r, child, at)))
            return NULL;
        last = &(*last)->next;
        to->n++;
    }
    return to;
}

/* A plain scalar may be a number, a bool or null, so that key 1 differs from key "1". */
static bool may_be_other_than_string(const yaml_event_t *e)
{
    static const char *const words[] = {"",     "~",     "null", "Null",  "NULL", "true",
                                        "True", "false", "TRUE", "False", "FALSE"};
    const char *s = (const char *)e->data.scalar.value;

    if (e->data.scalar.style != YAML_PLAIN_SCALAR_STYLE)
        return false;
    for (size_t i = 0; i < ARRAY_SIZE(words); i++)
        if (!strcmp(s, words[i]))
            return true;
    return strchr("0123456789+-.", *s);
}

/* Notes the key of the innermost mapping; a finding if it is there already. Several "<<" are what
 * merge keys are for. */
static void note_key(struct reading *r, struct frame *f, const yaml_event_t *e)
{
    const char *text = (const char *)e->data.scalar.value;
    const char *tag = (const char *)e->data.scalar.tag;
    size_t line = r->lines_before + e->start_mark.line + 1;

    if (e->data.scalar.style == YAML_PLAIN_SCALAR_STYLE && !strcmp(text, "<<"))
        return;
    _cleanup_free_ char *key =
        xasprintf("%c%s %s", may_be_other_than_string(e) ? 'p' : 's', tag ? tag : "", text);
    size_t before = (size_t)map_get(&f->keys, key);
    if (!before) {
        map_put(&f->keys, key, (void *)line);
        return;
    }
    _cleanup_free_ char *message = xasprintf("duplicate key \"%.*s\": the first one is on line %zu",
                                             excerpt(text), text, before);
    finding_at(r, e->start_mark, message);
}

/* Hangs a node (NULL without a tree) into the innermost open collection, or makes it the root. */
static void attach(struct reading *r, struct yaml_node *node)
{
    struct frame *f = r->open.n ? &r->open.v[r->open.n - 1] : NULL;

    if (f && f->mapping)
        f->is_value = !f->is_value;
    if (!node)
        return;
    if (!f) {
        r->doc->root = node;
        return;
    }
    *f->last = node;
    f->last = &node->next;
    f->node->n++;
}

static void set_anchor(struct reading *r, const char *name, struct yaml_node *node)
{
    if (name)
        map_put(&r->anchors, name, node ? (void *)node : r);
}

/* ---- events: each returns 0, or -EINVAL when there is no going on ---- */

static int refuse(struct reading *r, const yaml_event_t *e, const char *message)
{
    finding_at(r, e->start_mark, message);
    return -EINVAL;
}

static int on_tag(struct reading *r, const yaml_event_t *e, const yaml_char_t *tag)
{
    return r->doc && tag ? refuse(r, e, "tags such as !x have no meaning here") : 0;
}

static int on_scalar(struct reading *r, const yaml_event_t *e)
{
    struct frame *f = r->open.n ? &r->open.v[r->open.n - 1] : NULL;
    struct yaml_node *n = NULL;

    if (on_tag(r, e, e->data.scalar.tag))
        return -EINVAL;
    if (f && f->mapping && !f->is_value)
        note_key(r, f, e);
    if (r->doc) {
        n = node_new(r->doc, YAML_SCALAR, e->start_mark.line + 1, e->start_mark.column + 1);
        n->plain = e->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
        node_set_text(r->doc, n, e->data.scalar.value, e->data.scalar.length);
    }
    set_anchor(r, (const char *)e->data.scalar.anchor, n);
    attach(r, n);
    return 0;
}

static int on_alias(struct reading *r, const yaml_event_t *e)
{
    const char *name = (const char *)e->data.alias.anchor;
    struct yaml_node *n = NULL, *named = map_get(&r->anchors, name);

    if (!named) {
        _cleanup_free_ char *message =
            xasprintf("no anchor &%.*s before this alias", excerpt(name), name);
        return refuse(r, e, message);
    }
    if (r->doc && !(n = node_copy(r, named, e->start_mark)))
        return refuse(r, e, "aliases make this document too large");
    attach(r, n);
    return 0;
}

static int on_open(struct reading *r, const yaml_event_t *e)
{
    bool mapping = e->type == YAML_MAPPING_START_EVENT;
    const yaml_char_t *tag = mapping ? e->data.mapping_start.tag : e->data.sequence_start.tag;
    const yaml_char_t *anchor =
        mapping ? e->data.mapping_start.anchor : e->data.sequence_start.anchor;
    struct yaml_node *n = NULL;

    if (on_tag(r, e, tag))
        return -EINVAL;
    if (r->open.n == YAML_DEPTH)
        return refuse(r, e, "nested too deeply");
    if (r->doc)
        n = node_new(r->doc, mapping ? YAML_MAPPING : YAML_SEQUENCE, e->start_mark.line + 1,
                     e->start_mark.column + 1);
    attach(r, n);
    *VEC_ADD(&r->open) = (struct frame){
        .node = n,
        .last = n ? &n->first : NULL,
        .mapping = mapping,
        .anchor = anchor ? xstrdup((const char *)anchor) : NULL,
    };
    return 0;
}

static void frame_done(struct frame *f)
{
    map_done(&f->keys, NULL);
    free(f->anchor);
}

static int on_close(struct reading *r)
{
    struct frame *f = &r->open.v[--r->open.n];

    set_anchor(r, f->anchor, f->node);
    frame_done(f);
    return 0;
}

static int on_event(struct reading *r, const yaml_event_t *e)
{
    switch (e->type) {
    case YAML_DOCUMENT_START_EVENT:
        if (r->documents++ && r->doc)
            return refuse(r, e, "expected one document, found another");
        map_done(&r->anchors, NULL);
        return 0;
    case YAML_SCALAR_EVENT:
        return on_scalar(r, e);
    case YAML_ALIAS_EVENT:
        return on_alias(r, e);
    case YAML_SEQUENCE_START_EVENT:
    case YAML_MAPPING_START_EVENT:
        return on_open(r, e);
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT:
        return on_close(r);
    default:
        return 0;
    }
}

/* The first line that may begin behind what stands at `at`: a "---" itself may be what is wrong. */
static size_t line_behind(yaml_mark_t at)
{
    return at.line + (at.column > 0);
}

/* Reads to the end of the stream (0), or to the first thing that there is no going on from:
 * -EINVAL, with the line behind it in *ret_line, counted from where the parser began. */
static int parse(struct reading *r, const char *data, size_t len, size_t *ret_line)
{
    yaml_event_type_t type = YAML_NO_EVENT;
    int err = 0;

    if (!yaml_parser_initialize(&r->parser))
        abort(); /* no memory: see base/alloc.h */
    yaml_parser_set_input_string(&r->parser, (const unsigned char *)data, len);
    while (!err && type != YAML_STREAM_END_EVENT) {
        yaml_event_t event;
        if (!yaml_parser_parse(&r->parser, &event)) {
            *ret_line = line_behind(syntax_error(r));
            err = -EINVAL;
            break;
        }
        type = event.type;
        err = on_event(r, &event);
        *ret_line = line_behind(event.start_mark);
        yaml_event_delete(&event);
    }
    yaml_parser_delete(&r->parser);
    while (r->open.n)
        frame_done(&r->open.v[--r->open.n]);
    map_done(&r->anchors, NULL);
    return err;
}

struct yaml *yaml_read(const char *path, const char *check, const char *data, size_t len,
                       struct findings *findings)
{
    _cleanup_(yaml_donep) struct yaml *doc = NEW(struct yaml);
    struct reading r = {.path = path, .check = check, .findings = findings, .doc = doc};
    size_t line;

    int err = parse(&r, data, len, &line);
    free(r.open.v);
    return err ? NULL : TAKE(doc);
}

/* The first "---" line from line `line` (from 0) of what is left on, but not its very first line;
 * NULL if there is none. Counts the lines before it. */
static const char *next_document(const char *data, const char *end, size_t line, size_t *ret_lines)
{
    size_t at = 0;

    for (const char *p = data; p < end; at++) {
        if (at && at >= line && end - p > 3 && !memcmp(p, "---", 3) && strchr(" \t\r\n", p[3])) {
            *ret_lines += at;
            return p;
        }
        const char *newline = memchr(p, '\n', end - p);
        p = newline ? newline + 1 : end;
    }
    return NULL;
}

void yaml_check(const char *path, const char *data, size_t len, struct findings *findings)
{
    struct reading r = {.path = path, .check = "yaml", .findings = findings};
    const char *p = data, *end = data + len;
    size_t line = 0;

    while (p && !findings->left_out && parse(&r, p, end - p, &line) < 0)
        p = next_document(p, end, line, &r.lines_before);
    free(r.open.v);
}

/* ---- looking at nodes ---- */

const struct yaml_node *yaml_get(const struct yaml_node *map, const char *key)
{
    if (!map || map->kind != YAML_MAPPING)
        return NULL;
    yaml_foreach_pair (k, v, map)
        if (k->kind == YAML_SCALAR && !strcmp(k->text, key))
            return v;
    return NULL;
}

bool yaml_is_null(const struct yaml_node *node)
{
    return node->kind == YAML_SCALAR && node->plain &&
           (!*node->text || !strcmp(node->text, "~") || !strcasecmp(node->text, "null"));
}

void yaml_describe(const struct yaml_node *node, struct buf *out)
{
    if (node->kind == YAML_SEQUENCE)
        buf_adds(out, node->n ? "a list" : "an empty list");
    else if (node->kind == YAML_MAPPING)
        buf_adds(out, node->n ? "a mapping" : "an empty mapping");
    else if (yaml_is_null(node))
        buf_adds(out, "nothing");
    else
        buf_addf(out, "\"%.*s\"%s", excerpt(node->text), node->text,
                 excerpt(node->text) < node->len ? "…" : "");
}
