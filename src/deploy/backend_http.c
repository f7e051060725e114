/* Posts the request to an address:
 *
 *     POST <url>
 *     Content-Type: application/json
 *     Idempotency-Key: <site>/<generation>
 *     X-Onward-Signature: sha256=<HMAC-SHA256 of the body with the secret, in hex>
 *
 * and goes by the status of the answer, whose body is the log. It is asked for `apply` only: a
 * receiver that does not look at the verb would take any other for a deployment. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/hmac.h"
#include "base/http.h"
#include "deploy/backend.h"
#include "deploy/request.h"
#include "deploy/secret.h"
#include "onward/backend.h"
#include "onward/version.h"

#define CONNECT_MOST (10 * NS_PER_SEC) /* for a connection: who is not there by then is off */

struct backend_http {
    struct backend backend;
};

/* One call. */
struct posting {
    const struct backend_config *config;
    const struct backend_request *request;
    struct backend_result *result;
    struct buf url, body;
    char signature[HMAC_HEX + 1];
};

static void posting_done(struct posting *p)
{
    buf_done(&p->url);
    buf_done(&p->body);
}

/* ---- the question ------------------------------------------------------------------------------
 */

static int sign(struct posting *p)
{
    _cleanup_(secret_done) struct buf secret = {0};
    _cleanup_(diag_done) struct diag why = {0};
    int r = secret_read(p->config->secret_file, &secret, &why);

    if (r == 0)
        r = hmac_sha256(&secret, p->body.data, p->body.len, p->signature);
    if (r < 0)
        backend_result_set(p->result, r == -ENOMEM ? BACKEND_FAILED : BACKEND_STALLED, "%s",
                           diag_text(&why, r));
    return r;
}

static int prepare(struct posting *p)
{
    int r = request_expand(p->config->url, p->request->site, true, &p->url);

    if (r < 0) {
        backend_result_set(p->result, BACKEND_STALLED,
                           "the site's name or team cannot stand in an address");
        return r;
    }
    json_t *j = request_json(p->request);
    json_write(j, 0, &p->body);
    json_decref(j);
    return sign(p);
}

static void post(const struct posting *p, struct http_answer *ret, struct diag *why)
{
    const struct backend_request *r = p->request;
    _cleanup_free_ char *key =
        xasprintf("Idempotency-Key: %s/%llu", r->site->name, (unsigned long long)r->generation);
    _cleanup_free_ char *signature = xasprintf("X-Onward-Signature: sha256=%s", p->signature);
    const char *const headers[] = {key,
                                   signature,
                                   "Content-Type: application/json",
                                   "User-Agent: onwardfs/" ONWARD_VERSION,
                                   "Expect:",
                                   NULL};
    struct http_request request = {
        .url = p->url.data,
        .headers = headers,
        .body = p->body.data,
        .len = p->body.len,
        .keep = ONWARD_LOG_MOST,
        .timeout = r->timeout,
        .connect_timeout = r->timeout < CONNECT_MOST ? r->timeout : CONNECT_MOST,
        .stop_fd = r->stop_fd,
    };

    http_post(&request, ret, why);
}

/* ---- the answer --------------------------------------------------------------------------------
 */

static enum backend_end end_of_status(const struct http_answer *a)
{
    if (a->status >= 200 && a->status < 300)
        return BACKEND_DONE;
    if (a->status == 429 || (a->status == 503 && a->retry_after))
        return BACKEND_LATER;
    return a->status >= 500 ? BACKEND_FAILED : BACKEND_REFUSED;
}

static void judge_answer(struct posting *p, const struct http_answer *a)
{
    _cleanup_free_ char *line = request_last_line(&a->body);
    enum backend_end end = end_of_status(a);

    p->result->end = end;
    if (end == BACKEND_DONE)
        return;
    if (end == BACKEND_LATER)
        p->result->retry_after = a->retry_after;
    backend_result_set(p->result, end, "status %d%s%s%s", a->status,
                       a->status / 100 == 3 ? " (redirects are not followed)" : "",
                       *line ? ": " : "", line);
}

static void judge(struct posting *p, const struct http_answer *a, const struct diag *why)
{
    char limit[CLOCK_TEXT];

    if (a->end == HTTP_ANSWERED)
        judge_answer(p, a);
    else if (a->end == HTTP_STOPPED)
        backend_result_set(p->result, BACKEND_STOPPED, "stopped");
    else if (a->end == HTTP_TIMEOUT)
        backend_result_set(p->result, BACKEND_TIMEOUT, "no whole answer within %s",
                           clock_format_duration(p->request->timeout, limit));
    else
        backend_result_set(p->result, a->end == HTTP_UNREACHABLE ? BACKEND_LATER : BACKEND_FAILED,
                           "%s: %s", p->url.data, diag_text(why, -EIO));
}

/* ---- the vtable --------------------------------------------------------------------------------
 */

static void backend_http_apply(struct backend *b, const struct backend_request *request,
                               struct backend_result *ret)
{
    _cleanup_(posting_done) struct posting p = {
        .config = b->config, .request = request, .result = ret};
    _cleanup_(diag_done) struct diag why = {0};
    struct http_answer answer;

    if (prepare(&p) < 0)
        return;
    post(&p, &answer, &why);
    judge(&p, &answer, &why);
    ret->log = answer.body;
}

static void backend_http_free(struct backend *backend)
{
    free(container_of(backend, struct backend_http, backend));
}

static const struct backend_ops ops = {.call = {[VERB_APPLY] = backend_http_apply},
                                       .free = backend_http_free};

int backend_http_new(const struct backend_config *config, struct backend **ret, struct diag *reterr)
{
    if (!config->url || !config->secret_file)
        return diag_fail(reterr, -EINVAL, "backend %s: http needs url and secret_file",
                         config->name);
    struct backend_http *b = NEW(struct backend_http);
    b->backend.ops = &ops;
    *ret = &b->backend;
    return 0;
}
