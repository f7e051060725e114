#include "ctl/proposal_ref.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ctl/workspace_ref.h"

int proposal_ref_find(const struct call *call, const char *operand, struct proposal_ref *ret,
                      struct diag *reterr)
{
    if (strspn(operand, "0123456789") != strlen(operand))
        return diag_fail(reterr, VERB_USAGE, "\"%s\" is not the number of a proposal", operand);
    _cleanup_free_ char *dir = xasprintf("proposals/%s", operand);
    if (faccessat(call->mount->fd, dir, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
        return diag_fail(reterr, -errno,
                         "there is no proposal %s (any more); `onward list --proposals` shows them",
                         operand);
    ret->number = xstrdup(operand);
    ret->dir = TAKE(dir);
    return 0;
}

void proposal_ref_done(struct proposal_ref *p)
{
    free(p->number);
    free(p->dir);
    *p = (struct proposal_ref){0};
}

char *proposal_ref_path(const struct proposal_ref *p, const char *file)
{
    return xasprintf("%s/%s", p->dir, file);
}

static int read_file(const struct proposal_ref *p, const struct mountpoint *m, const char *file,
                     struct buf *out, struct diag *reterr)
{
    _cleanup_free_ char *path = proposal_ref_path(p, file);

    return mountpoint_read_trimmed(m, path, out, reterr);
}

/* `Name <address> TIME comment` lines. The name may hold anything but "> ", which ends it. */
static json_t *approvals_json(const char *text)
{
    json_t *all = json_array();

    while (*text) {
        size_t len = strcspn(text, "\n");
        _cleanup_free_ char *line = xstrndup(text, len);
        char *at = strstr(line, "> ");
        text += len + (text[len] == '\n');
        if (!at)
            continue;
        json_t *one = json_object();
        at[1] = 0;
        char *comment = at + 2 + strcspn(at + 2, " ");
        if (*comment)
            *comment++ = 0;
        json_put_str(one, "by", line);
        json_put_str(one, "at", at + 2);
        json_put_str(one, "comment", *comment ? comment : NULL);
        json_array_append_new(all, one);
    }
    return all;
}

static void put_number(json_t *j, const char *key, const char *status)
{
    _cleanup_free_ char *value = keyed_value(status, key);

    json_object_set_new(j, key,
                        value && strspn(value, "0123456789") == strlen(value)
                            ? json_integer(strtoll(value, NULL, 10))
                            : json_null());
}

static void put_status(json_t *j, const char *status)
{
    static const char *const texts[] = {"author", "proposed", "workspace", "owner", "revision"};
    static const char *const numbers[] = {"proposal", "behind", "needed"};
    _cleanup_free_ char *base = keyed_value(status, "base");
    _cleanup_free_ char *reason = keyed_value(status, "not-merged");

    for (size_t i = 0; i < ARRAY_SIZE(numbers); i++)
        put_number(j, numbers[i], status);
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        _cleanup_free_ char *value = keyed_value(status, texts[i]);
        json_put_str(j, texts[i], value);
    }
    json_put_str(j, "base", base && strcmp(base, "none") ? base : NULL);
    json_put_str(j, "not_merged", reason);
}

int proposal_ref_json(const struct proposal_ref *p, const struct mountpoint *m, json_t **ret,
                      struct diag *reterr)
{
    _cleanup_(buf_done) struct buf status = {0}, message = {0}, approvals = {0};
    int r = read_file(p, m, "status", &status, reterr);

    if (r == 0)
        r = read_file(p, m, "message", &message, reterr);
    if (r == 0)
        r = read_file(p, m, "approvals", &approvals, reterr);
    if (r < 0)
        return r;
    json_t *j = json_object();
    put_status(j, buf_str(&status));
    json_put_str(j, "message", buf_str(&message));
    json_object_set_new(j, "approvals", approvals_json(buf_str(&approvals)));
    *ret = j;
    return 0;
}

int proposal_missing(const json_t *proposal)
{
    int missing = json_int(proposal, "needed", 1) -
                  (int)json_array_size(json_object_get(proposal, "approvals"));

    return missing > 0 ? missing : 0;
}
