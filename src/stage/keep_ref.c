#include "stage/keep_ref.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/buf.h"
#include "base/log.h"
#include "base/map.h"
#include "repo/refs.h"

#define TRIES_MOST 3

bool keep_ref_needed(const char *name)
{
    return strchr(name, '@') != NULL;
}

static void add_safe(struct buf *out, const char *text)
{
    for (const char *p = text; *p; p++)
        buf_addc(out, isalnum((unsigned char)*p) && !(*p & 0x80) ? *p : '-');
}

static void add_prefix(struct buf *out, const struct staging_config *config)
{
    uint64_t state = hash_bytes(config->state_dir, strlen(config->state_dir), 0);

    buf_adds(out, "refs/onward/workspaces/");
    add_safe(out, *config->host ? config->host : "host");
    buf_addf(out, "/%08" PRIx32 "/", (uint32_t)state);
}

char *keep_ref_name(const struct staging_config *config, const char *name)
{
    struct buf ref = {0};

    add_prefix(&ref, config);
    add_safe(&ref, name);
    buf_addf(&ref, "-%08" PRIx32, (uint32_t)hash_bytes(name, strlen(name), 0));
    return buf_take(&ref);
}

int keep_ref_make(const struct staging_config *config, const char *name, const struct oid *base,
                  struct diag *reterr)
{
    _cleanup_free_ char *ref = keep_ref_name(config, name);
    _cleanup_(diag_done) struct diag why = {0};
    int r = -EAGAIN;

    for (int i = 0; i < TRIES_MOST && r == -EAGAIN; i++) {
        struct oid at = {0};
        r = ref_read(config->repo, ref, &at);
        if (r == 0 && oid_equal(&at, base))
            return 0;
        if (r == 0 || r == -ENOENT)
            r = ref_update(config->repo, ref, &at, base, "workspace", &why);
    }
    return r < 0 ? diag_fail(reterr, r, "cannot keep the base: %s", diag_text(&why, r)) : 0;
}

static void drop(const struct staging_config *config, const char *ref)
{
    _cleanup_(diag_done) struct diag why = {0};
    struct oid at;
    int r = ref_read(config->repo, ref, &at);

    if (r == 0)
        r = ref_delete(config->repo, ref, &at, &why);
    if (r < 0 && r != -ENOENT)
        log_warn("ref-not-dropped", "ref=%s reason=\"%s\"", ref, diag_text(&why, r));
}

void keep_ref_drop(const struct staging_config *config, const char *name)
{
    _cleanup_free_ char *ref = keep_ref_name(config, name);

    drop(config, ref);
}

void keep_ref_prune(const struct staging_config *config,
                    bool (*is_kept)(const char *ref, void *arg), void *arg)
{
    _cleanup_(refs_unrefp) struct refs *refs = NULL;
    _cleanup_(buf_done) struct buf prefix = {0};

    add_prefix(&prefix, config);
    if (refs_load_below(config->repo, buf_str(&prefix), &refs, NULL) < 0)
        return;
    for (size_t i = 0; i < refs->n; i++)
        if (!is_kept(refs->v[i].name, arg))
            drop(config, refs->v[i].name);
}
