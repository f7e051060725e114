/* YAML with places: a document as a tree whose nodes know their line and column, so that whoever
 * reads a file of ours can point at what is wrong. The only user of libyaml.
 *
 * Reading never trusts the bytes: nesting deeper than YAML_DEPTH is refused, and aliases are
 * expanded by copying within a budget of YAML_ALIASED nodes, so no document grows beyond its own
 * size by much. What is wrong becomes findings, several at once: every duplicate key, and the
 * syntax error (libyaml cannot go on after one within a document; yaml_check() goes on at the next
 * "---").
 *
 * Ownership: nodes and their texts live as long as their document. Threads: documents do not
 * change. */
#ifndef ONWARD_BASE_YAML_H
#define ONWARD_BASE_YAML_H

#include <stdbool.h>
#include <stddef.h>

#include "base/cleanup.h"
#include "base/finding.h"

#define YAML_DEPTH   200   /* collections in collections */
#define YAML_ALIASED 10000 /* nodes that aliases may add to a document */

enum yaml_kind { YAML_SCALAR, YAML_SEQUENCE, YAML_MAPPING };

struct yaml_node {
    enum yaml_kind kind;
    bool plain;    /* scalar: written without quotes, so it may mean null, a number … */
    int line, col; /* where it begins, from 1 */
    struct yaml_node *next;
    union {
        struct {
            char *text; /* NUL-terminated behind `len` */
            size_t len;
        };
        struct {
            struct yaml_node *first; /* of a mapping: key, value, key, value … in order */
            size_t n;                /* how many `next` leads through */
        };
    };
};

#define yaml_foreach(child, parent)                                                                \
    for (const struct yaml_node *child = (parent)->first; child; child = child->next)
#define yaml_foreach_pair(key, value, map)                                                         \
    for (const struct yaml_node *key = (map)->first, *value; key && ((value = key->next), true);   \
         key = value->next)

struct yaml {
    struct yaml_node *root; /* NULL: nothing but blanks and comments */
    struct yaml_chunk *chunks;
};

/* Reads exactly one document. `path` and `check` name the findings. NULL after a syntax error; a
 * document with duplicate keys is returned all the same, so that the caller can add what else is
 * wrong: what counts is whether findings were added. */
struct yaml *yaml_read(const char *path, const char *check, const char *data, size_t len,
                       struct findings *findings);
/* Frees it (the name yaml_free is libyaml's own). */
void yaml_done(struct yaml *y);
DEFINE_CLEANUP(struct yaml *, yaml_done)

/* Adds findings (check "yaml") for what is wrong in a stream of any number of documents, without
 * building a tree. Tags, aliases and merge keys are fine. */
void yaml_check(const char *path, const char *data, size_t len, struct findings *findings);

/* The value of the scalar key `key` in a mapping, or NULL; also when `map` is no mapping. */
const struct yaml_node *yaml_get(const struct yaml_node *map, const char *key);
/* A plain scalar that stands for nothing: empty, ~, null. */
bool yaml_is_null(const struct yaml_node *node);
/* What a node is, for "found …": `"ten"`, `a list`, `a mapping`, `nothing`; added to `out`. */
void yaml_describe(const struct yaml_node *node, struct buf *out);

#endif
