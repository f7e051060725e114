/* What names, paths and pins may look like. Each function is NULL for a text that is right, else
 * the words that follow "expected": the form that decode tables take. */
#ifndef ONWARD_SITE_SYNTAX_H
#define ONWARD_SITE_SYNTAX_H

/* Sites, teams, backends, waves, checks: they become file names and parts of refs. */
const char *syntax_name(const char *text);
/* A directory or file below the root of the repository; "." is the root. */
const char *syntax_path(const char *text);
/* The same with `*`, `?` and `[…]` within components. */
const char *syntax_pattern(const char *text);
/* A tag, or the full id of a revision. */
const char *syntax_pin(const char *text);
const char *syntax_label_key(const char *text);
const char *syntax_label_value(const char *text);

#endif
