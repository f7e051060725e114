#include "base/http.h"

#include <curl/curl.h>
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"

#define RETRY_AFTER_MOST (7 * 24 * 3600) /* seconds: more cannot be meant */

/* A request under way. */
struct transfer {
    const struct http_request *request;
    struct http_answer *answer;
    CURL *easy;
    struct curl_slist *headers;
    bool full; /* as much of the answer as is wanted has come */
    bool stopped;
    char reason[CURL_ERROR_SIZE];
};

static pthread_once_t once = PTHREAD_ONCE_INIT;

static void init(void)
{
    curl_global_init(CURL_GLOBAL_DEFAULT);
}

/* ---- what libcurl asks ------------------------------------------------------------------------
 */

static size_t take_body(char *data, size_t one, size_t len, void *arg)
{
    struct transfer *t = arg;
    size_t room = t->request->keep - t->answer->body.len;

    t->full = len > room;
    buf_add(&t->answer->body, data, t->full ? room : len);
    return t->full ? 0 : len; /* 0 ends it */
}

static curl_socket_t open_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *address)
{
    return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

/* ---- one request ------------------------------------------------------------------------------
 */

static long milliseconds(int64_t ns)
{
    return (ns + NS_PER_MS - 1) / NS_PER_MS;
}

/* What nobody on the way may change. */
static void set_limits(CURL *easy)
{
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 1L);
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 2L);
    curl_easy_setopt(easy, CURLOPT_PROXY, "");
    curl_easy_setopt(easy, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
    curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L);
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L); /* a resolver that hangs is left to itself */
    curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, open_socket);
}

static void set_request(struct transfer *t)
{
    const struct http_request *r = t->request;
    CURL *easy = t->easy;

    for (const char *const *h = r->headers; *h; h++)
        t->headers = curl_slist_append(t->headers, *h);
    curl_easy_setopt(easy, CURLOPT_URL, r->url);
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, t->headers);
    curl_easy_setopt(easy, CURLOPT_POSTFIELDS, r->body);
    curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)r->len);
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, milliseconds(r->timeout));
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, milliseconds(r->connect_timeout));
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, t->reason);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, take_body);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, t);
}

/* Waits for the transfer, or to be stopped. */
static CURLMcode attend(struct transfer *t, CURLM *multi)
{
    struct curl_waitfd stop = {.fd = t->request->stop_fd, .events = CURL_WAIT_POLLIN};
    int running = 1;

    for (;;) {
        CURLMcode r = curl_multi_perform(multi, &running);
        if (r || !running)
            return r;
        r = curl_multi_poll(multi, &stop, stop.fd >= 0, 1000, NULL);
        t->stopped = stop.revents;
        if (r || t->stopped)
            return r;
    }
}

/* Carries it out. What curl_easy_perform() would return. */
static CURLcode perform(struct transfer *t)
{
    CURLM *multi = curl_multi_init();
    CURLcode result = CURLE_OUT_OF_MEMORY;
    int left;

    if (!multi || curl_multi_add_handle(multi, t->easy)) {
        curl_multi_cleanup(multi);
        return result;
    }
    if (attend(t, multi) == CURLM_OK) {
        const CURLMsg *m = curl_multi_info_read(multi, &left);
        result = m ? m->data.result : CURLE_ABORTED_BY_CALLBACK;
    }
    curl_multi_remove_handle(multi, t->easy);
    curl_multi_cleanup(multi);
    return result;
}

/* Whether there was a connection over which the request could be sent. */
static bool was_connected(const struct transfer *t)
{
    curl_off_t at = 0;

    curl_easy_getinfo(t->easy, CURLINFO_PRETRANSFER_TIME_T, &at);
    return at > 0;
}

static enum http_end end_of(const struct transfer *t, CURLcode r)
{
    if (t->stopped)
        return HTTP_STOPPED;
    switch (r) {
    case CURLE_OK:
        return HTTP_ANSWERED;
    case CURLE_WRITE_ERROR:
        return t->full ? HTTP_ANSWERED : HTTP_BROKEN;
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_CONNECT:
        return HTTP_UNREACHABLE;
    case CURLE_OPERATION_TIMEDOUT:
        return was_connected(t) ? HTTP_TIMEOUT : HTTP_UNREACHABLE;
    default:
        return HTTP_BROKEN;
    }
}

static void take_in(struct transfer *t, CURLcode r, struct diag *why)
{
    struct http_answer *a = t->answer;
    curl_off_t wait = 0;
    long status = 0;

    a->end = end_of(t, r);
    if (a->end != HTTP_ANSWERED) {
        diag_fail(why, -EIO, "%s", *t->reason ? t->reason : curl_easy_strerror(r));
        return;
    }
    curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(t->easy, CURLINFO_RETRY_AFTER, &wait);
    a->status = status;
    if (wait > 0)
        a->retry_after = (wait < RETRY_AFTER_MOST ? wait : RETRY_AFTER_MOST) * NS_PER_SEC;
}

void http_post(const struct http_request *request, struct http_answer *ret, struct diag *why)
{
    struct transfer t = {.request = request, .answer = ret};

    *ret = (struct http_answer){.end = HTTP_BROKEN};
    pthread_once(&once, init);
    t.easy = curl_easy_init();
    if (!t.easy) {
        diag_fail(why, -ENOMEM, "libcurl does not start");
        return;
    }
    set_limits(t.easy);
    set_request(&t);
    take_in(&t, perform(&t), why);
    curl_easy_cleanup(t.easy);
    curl_slist_free_all(t.headers);
}

/* ---- addresses --------------------------------------------------------------------------------
 */

const char *http_wrong_url(const char *text)
{
    static const char expected[] = "an address such as https://example.org/path, without a user "
                                   "or a password";
    size_t scheme = !strncmp(text, "https://", 8) ? 8 : !strncmp(text, "http://", 7) ? 7 : 0;
    size_t host = strcspn(text + scheme, "/?#");

    if (!scheme || !host || memchr(text + scheme, '@', host))
        return expected;
    for (const char *p = text; *p; p++)
        if ((unsigned char)*p <= ' ' || *p == 0x7f || *p == '#')
            return expected;
    return NULL;
}

void http_add_escaped(struct buf *url, const char *text)
{
    for (const char *p = text; *p; p++) {
        unsigned char c = *p;
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                     strchr("-._~", c);
        if (plain)
            buf_addc(url, c);
        else
            buf_addf(url, "%%%02X", c);
    }
}
