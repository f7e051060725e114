/* A backend: what brings a site to a revision. One vtable, one file for each kind (backend_exec.c,
 * backend_directory.c, backend_http.c); what a name means comes from the host's configuration
 * alone.
 *
 * Calls block, and come from threads of the reconciler, at most `concurrency` at once for each
 * backend and never two for one site. A call ends within the request's timeout plus the time to
 * kill, or soon after `stop_fd` becomes readable. Backends keep nothing between calls: the same
 * request again must lead to the same state of the site.
 *
 * What the author of an exec backend sees of this is include/onward/backend.h.
 *
 * Nothing about retries, ledgers or generations belongs here: a backend says how it ended, plan.h
 * what follows from it. */
#ifndef ONWARD_DEPLOY_BACKEND_H
#define ONWARD_DEPLOY_BACKEND_H

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/diag.h"
#include "deploy/backend_config.h"
#include "repo/repo.h"
#include "site/declaration.h"

/* What a backend is asked for. */
enum backend_verb {
    VERB_NONE,
    VERB_APPLY,   /* bring the site to the revision */
    VERB_HEALTH,  /* does the site work at the revision, which was applied? */
    VERB_OBSERVE, /* does the site still have what was deployed? */
    VERBS
};
/* "apply", "health", "observe". */
const char *backend_verb_name(enum backend_verb verb);

/* How a call ended. */
enum backend_end {
    BACKEND_DONE,    /* the site is at the revision; healthy; as it was deployed */
    BACKEND_DRIFTED, /* observe: it is not as it was deployed (exit status 2) */
    BACKEND_UNKNOWN, /* health, observe: it cannot say (exit status 64) */
    BACKEND_LATER,   /* not yet: try again (exit status 75) */
    BACKEND_FAILED,  /* it did not work */
    BACKEND_REFUSED, /* apply: it did not work, and trying again would give the same */
    BACKEND_TIMEOUT, /* it had not ended in time and was stopped: the same as failed */
    BACKEND_STALLED, /* it will not work until somebody changes something (exit status 78) */
    BACKEND_STOPPED, /* it was told to (stop_fd): nothing is known of the site */
    BACKEND_ENDS
};
/* "done", "later", … */
const char *backend_end_name(enum backend_end end);

/* The question. Everything is borrowed for the call. */
struct backend_request {
    enum backend_verb verb;
    const struct site *site; /* name, source, include, team, labels */
    uint64_t generation;
    int attempt;
    struct oid from;        /* deployed now; zero: nothing */
    struct oid to, to_tree; /* the revision, and its root tree */
    const char *mountpoint; /* absolute */
    int64_t timeout;        /* ns */
    int64_t kill_after;     /* ns from TERM to KILL */
    int stop_fd;            /* readable: stop */
};

struct backend_result {
    enum backend_end end;
    int exit;            /* exit status, 128 + signal; -1: no process, or not started */
    int64_t retry_after; /* LATER: ns that the backend wants to be left alone; 0: it does not say */
    char *message;       /* one line when it is not done, else NULL */
    struct buf log;      /* what it said, at most about ONWARD_LOG_MOST bytes */
};
void backend_result_done(struct backend_result *r);
/* Sets how it ended, and the message. */
void backend_result_set(struct backend_result *r, enum backend_end end, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

struct backend;
struct backend_ops {
    /* The kind's answer to each verb; NULL: it has none. Always fills `ret`, whatever happens.
     * apply is never NULL. The message of BACKEND_DRIFTED says in a line what differs, its log in
     * full. */
    void (*call[VERBS])(struct backend *b, const struct backend_request *request,
                        struct backend_result *ret);
    /* Ends a backend that runs nothing. Never NULL. */
    void (*free)(struct backend *b);
};

/* The part that all kinds begin with. */
struct backend {
    const struct backend_ops *ops;
    const struct backend_config *config; /* borrowed */
    struct repo *repo;                   /* borrowed */
};

/* `config` must outlive it. -EINVAL: the configuration cannot work (a command that is relative). */
int backend_new(const struct backend_config *config, struct repo *repo, struct backend **ret,
                struct diag *reterr);
void backend_free(struct backend *b);
DEFINE_CLEANUP(struct backend *, backend_free)
/* Whether the backend may have an answer. */
bool backend_knows(const struct backend *b, enum backend_verb verb);
/* Asks the backend for request->verb. A target whose source is not a directory in that revision is
 * stalled without asking it. */
void backend_call(struct backend *b, const struct backend_request *request,
                  struct backend_result *ret);

/* The constructors of the kinds, for backend_new(). */
int backend_exec_new(const struct backend_config *config, struct backend **ret,
                     struct diag *reterr);
int backend_directory_new(const struct backend_config *config, struct backend **ret,
                          struct diag *reterr);
int backend_http_new(const struct backend_config *config, struct backend **ret,
                     struct diag *reterr);

#endif
