/* One HTTP request to its end, whatever the other side does: refuse, hang, flood, drip, break off.
 * By libcurl, whose header nobody else includes.
 *
 * Only http and https; certificates are verified against the system's; no proxy, no redirect, no
 * cookie, no password of any file or variable of the daemon's takes part. What is read of an answer
 * is bounded. A call blocks, and any number of threads may make one. */
#ifndef ONWARD_BASE_HTTP_H
#define ONWARD_BASE_HTTP_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/diag.h"

struct http_request {
    const char *url;
    const char *const *headers; /* "Name: value", NULL-terminated */
    const void *body;
    size_t len;
    size_t keep;             /* bytes of the answer; if there are more, it ends there */
    int64_t timeout;         /* ns, of everything */
    int64_t connect_timeout; /* ns, until there is a connection */
    int stop_fd;             /* readable: stop at once; -1: none */
};

enum http_end {
    HTTP_ANSWERED,
    HTTP_UNREACHABLE, /* there was no connection: no such host, refused, nobody answers */
    HTTP_TIMEOUT,     /* there was one, but no whole answer in time */
    HTTP_STOPPED,
    HTTP_BROKEN, /* anything else: it broke off, is no HTTP, has a certificate of somebody else */
};

struct http_answer {
    enum http_end end;
    int status;          /* ANSWERED: 200, … */
    int64_t retry_after; /* ns from now, as the answer asks for; 0: it does not */
    struct buf body;     /* yours, in any case */
};

/* Sends it with POST. `why` says what happened instead of an answer, in one line. */
void http_post(const struct http_request *request, struct http_answer *ret, struct diag *why);

/* NULL if the text is the address of something that a request can go to, else what was expected. */
const char *http_wrong_url(const char *text);
/* Adds the text as it stands within a path. */
void http_add_escaped(struct buf *url, const char *text);

#endif
