/* What the author of an exec backend builds on. A backend is any program; this header is for those
 * written in C, and the reference for all others.
 *
 * A backend brings one site to one revision. It is named in the host's configuration
 *
 *     backends:
 *       files: {exec: [/usr/libexec/onwardfs/files, --fast], timeout: 10m}
 *
 * and started as `COMMAND… VERB`. Its working directory is the site's source directory, read-only,
 * at the revision that it is to bring the site to. It finds the request as one JSON object on
 * standard input, and every field of it as a variable ONWARD_<FIELD> in an environment that holds
 * nothing else of the daemon's but PATH, HOME and LANG. It can gain no privileges (sudo) unless the
 * configuration says `privileges: true`. What it prints (both streams, the last
 * ONWARD_LOG_MOST bytes) is kept as the log of the generation, the last line as the message of a
 * failure. It runs in a process group of its own, which gets SIGTERM at the deadline and SIGKILL
 * ten seconds later.
 *
 * What it must keep
 *  - It may be called more than once for the same generation (after a crash, after a failure):
 *    doing again what is done must do no harm. Site and generation together are the key.
 *  - If the daemon is killed (SIGKILL), a call that is under way gets SIGTERM, and SIGKILL ten
 *    seconds later; the next daemon's calls wait until its process group is gone. Who leaves the
 *    group (setsid) is not waited for: it takes a lock where that could harm.
 *  - It says "done" only when the site runs that revision.
 *  - A verb that it does not know exits ONWARD_EXIT_UNKNOWN_VERB. Fields that it does not know it
 *    leaves alone. */
#ifndef ONWARD_BACKEND_H
#define ONWARD_BACKEND_H

/* Verbs: the last argument, and the field "verb". `health` is asked for after each apply, again and
 * again while the answer is ONWARD_EXIT_LATER and the timeout is not over; `observe` at the
 * interval that the host's configuration gives. This version of onwardfs does not call `plan`. */
#define ONWARD_VERB_APPLY   "apply"   /* bring the site to the revision */
#define ONWARD_VERB_HEALTH  "health"  /* does the site work at that revision? */
#define ONWARD_VERB_OBSERVE "observe" /* does the site still have what was deployed? */
#define ONWARD_VERB_PLAN    "plan"    /* print what apply would change, change nothing */

/* Exit statuses. Any other, and death by a signal, is a failure, which is tried again as the
 * backend's `retry` says. */
#define ONWARD_EXIT_DONE         0  /* observe: in sync; plan: nothing to do */
#define ONWARD_EXIT_DIFFERS      2  /* observe: drifted; plan: there are changes */
#define ONWARD_EXIT_UNKNOWN_VERB 64 /* EX_USAGE: not asked again for that generation */
#define ONWARD_EXIT_LATER        75 /* EX_TEMPFAIL: not yet, try again later */
#define ONWARD_EXIT_CONFIG       78 /* EX_CONFIG: only a human or a new revision helps */

/* Fields of the request. Ids are 40 hex digits; what is absent is null, and empty as a variable. */
#define ONWARD_FIELD_ONWARD        "onward"     /* integer: ONWARD_CONTRACT (version.h) */
#define ONWARD_FIELD_VERB          "verb"       /* string */
#define ONWARD_FIELD_SITE          "site"       /* string */
#define ONWARD_FIELD_TEAM          "team"       /* string */
#define ONWARD_FIELD_LABELS        "labels"     /* object of strings; variable: key=value lines */
#define ONWARD_FIELD_GENERATION    "generation" /* integer, only grows for a site */
#define ONWARD_FIELD_ATTEMPT       "attempt"    /* integer, from 1 within a generation */
#define ONWARD_FIELD_FROM          "from"       /* revision that was deployed before, or null */
#define ONWARD_FIELD_TO            "to"         /* revision to bring the site to */
#define ONWARD_FIELD_SOURCE        "source"     /* string: directory, relative to the tree */
#define ONWARD_FIELD_TREE          "tree"       /* string: absolute path of the tree of `to` */
#define ONWARD_FIELD_PREVIOUS_TREE "previous_tree" /* string: that of `from`, or null */
#define ONWARD_FIELD_DEADLINE      "deadline"      /* string: UTC, "2026-01-01T04:40:00Z" */

/* The same as variables: ONWARD_ENV("SITE") is "ONWARD_SITE". */
#define ONWARD_ENV(FIELD) "ONWARD_" FIELD

/* Bytes of output that are kept. */
#define ONWARD_LOG_MOST (1 << 20)

#endif
