/* The human reason of a failure. Functions that can fail return 0 or -errno and take a last
 * argument `struct diag *reterr`, untouched on success, which receives one line: what failed,
 * where, why, and what to do. It may be NULL. The caller either shows it or passes it on, never
 * both.
 *
 *     _cleanup_(diag_done) struct diag why = {0};
 *     int r = repo_open(path, &repo, &why);
 *     if (r < 0)
 *         log_error("cannot-mount", "reason=%s", diag_text(&why, r));
 */
#ifndef ONWARD_BASE_DIAG_H
#define ONWARD_BASE_DIAG_H

struct diag {
    char *text;
};

void diag_done(struct diag *d);

/* Replaces the text and returns `err` (negative errno), so that callers can
 * `return diag_fail(reterr, -EINVAL, "...")`. The text has no final full stop or newline. */
int diag_fail(struct diag *d, int err, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* Puts "fmt: " before the text that is there (strerror(-err) when there is none). Returns `err`. */
int diag_prefix(struct diag *d, int err, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* The text, or the words for -errno `err` when none was given. Borrowed. */
const char *diag_text(const struct diag *d, int err);

#endif
