/* From YAML to structs by table: each key of a file of ours is one row, which names the key, its
 * type and the field that it fills. What does not fit becomes a finding with its place and what was
 * expected, all of them at once; the fields of such keys keep what they held.
 *
 *     static const struct decode_key keys[] = {
 *         {"name", DECODE_STRING, offsetof(struct wave, name), .required = true},
 *         {"soak", DECODE_DURATION, offsetof(struct wave, soak)},
 *     };
 *     decode_mapping(&d, node, "a wave", keys, ARRAY_SIZE(keys), &wave, NULL);
 *
 * A scalar is a string as it is written (`1.10` stays "1.10"), except for null. */
#ifndef ONWARD_BASE_DECODE_H
#define ONWARD_BASE_DECODE_H

#include <stdint.h>

#include "base/alloc.h"
#include "base/yaml.h"

/* Where findings go, and what custom rows want to know. */
struct decode {
    const char *path, *check;
    struct findings *findings;
    void *arg;
};

enum decode_type {                  /* type of the field: */
                   DECODE_STRING,   /* char *; what was there is freed */
                   DECODE_BOOL,     /* bool */
                   DECODE_INT,      /* int */
                   DECODE_SIZE,     /* uint64_t */
                   DECODE_DURATION, /* int64_t, ns */
                   DECODE_STRINGS,  /* VEC(char *); what was there is freed, as in all lists */
                   DECODE_PAIRS,    /* VEC(struct { char *key, *value; }), from a mapping, sorted by
                                       key */
                   DECODE_MAPPING,  /* `keys` fill the same struct (`offset` is added) */
                   DECODE_NODE,     /* const struct yaml_node *: the caller looks at it later */
                   DECODE_CUSTOM,   /* what `custom` makes of it */
                   DECODE_LATER,    /* none: a key that this version does not support, which is a
                                       finding */
};

struct decode_key {
    const char *name;
    enum decode_type type;
    size_t offset;
    bool required;
    /* INT, DURATION (ns), SIZE: the range that is right. `most` 0: as large as the type. */
    int64_t least, most;
    /* STRING, each of STRINGS, each value of PAIRS: NULL if the text is right, else what was
     * expected. May be NULL. `wrong_key`: the same for the keys of PAIRS. */
    const char *(*wrong)(const char *text);
    const char *(*wrong_key)(const char *text);
    void (*custom)(struct decode *d, const struct yaml_node *value, void *field);
    const char *what; /* MAPPING: its name in findings, "a retry" */
    const struct decode_key *keys;
    size_t nkeys;
};

/* Fills `out` from the mapping `node` (NULL: an empty document, which is a finding). `what` names
 * it in findings: "a site". `given`, unless NULL, has room for nkeys: the value's node for each key
 * that was given and right, else NULL. */
void decode_mapping(struct decode *d, const struct yaml_node *node, const char *what,
                    const struct decode_key *keys, size_t nkeys, void *out,
                    const struct yaml_node **given);
/* One value by one row, whose offset does not count: `field` is the field. True when it was right.
 */
bool decode_one(struct decode *d, const struct decode_key *k, const struct yaml_node *value,
                void *field);
/* Copies the fields of the rows with given[i] from one struct to another. Rows of type MAPPING,
 * NODE and CUSTOM are not copied. */
void decode_apply(const struct decode_key *keys, size_t nkeys, const struct yaml_node *const *given,
                  const void *from, void *to);
/* Frees what STRING, STRINGS and PAIRS rows hold, also in MAPPING rows, and zeroes it. */
void decode_release(const struct decode_key *keys, size_t nkeys, void *obj);

/* A finding at `node`. */
void decode_finding(struct decode *d, const struct yaml_node *node, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* The finding `key: expected …, found …`. */
void decode_expected(struct decode *d, const struct yaml_node *node, const char *key,
                     const char *expected);
/* A scalar that is a string without NUL: its text, else NULL and a finding. */
const char *decode_string(struct decode *d, const struct yaml_node *node, const char *key);

/* The one of the names that `word` is probably meant to be; NULL if none is close. Borrowed. */
const char *decode_did_you_mean(const char *word, const char *const *names, size_t n);

#endif
