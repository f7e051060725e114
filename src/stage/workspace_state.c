#include "stage/workspace_state.h"

#include <errno.h>

#include "base/io.h"
#include "base/json.h"

#define STATE_MOST 65536

static int read_oid(const json_t *j, const char *key, struct oid *ret)
{
    const char *hex = json_str(j, key, NULL);

    *ret = (struct oid){0};
    return hex ? oid_parse(hex, ret) : 0;
}

static void put_oid(json_t *j, const char *key, const struct oid *oid)
{
    char hex[OID_HEX + 1];

    if (!oid_is_zero(oid))
        json_put_str(j, key, oid_hex(oid, hex));
}

int workspace_state_load(int dirfd, struct workspace_state *ret, struct diag *reterr)
{
    _cleanup_(buf_done) struct buf text = {0};
    json_t *j = NULL;
    int r = io_read_file(dirfd, "state", STATE_MOST, &text);

    if (r < 0)
        return diag_fail(reterr, r, "state: %s", strerror(-r));
    if (json_read(text.data, text.len, &j, reterr) < 0)
        return diag_prefix(reterr, -EIO, "state");
    struct workspace_state s = {
        .uid = json_int(j, "uid", -1),
        .gid = json_int(j, "gid", -1),
        .base_mtime = json_int(j, "base_mtime", -1),
        .upper = json_int(j, "upper", 0),
        .next_mtime = json_int(j, "next_mtime", -1),
        .kept = json_is_true(json_object_get(j, "kept")),
        .autocommit = json_int(j, "autocommit", 0),
    };
    if (json_int(j, "onward", 0) != 1 || s.upper == 0 || s.base_mtime < 0 || s.autocommit < 0 ||
        read_oid(j, "base", &s.base) < 0 || read_oid(j, "next_base", &s.next_base) < 0) {
        r = diag_fail(reterr, -EIO, "state: not the state of a workspace of this version");
    } else {
        s.owner = xstrdup(json_str(j, "owner", "?"));
        *ret = s;
    }
    json_decref(j);
    return r;
}

static void render(const struct workspace_state *state, struct buf *out)
{
    json_t *j = json_object();

    json_object_set_new(j, "onward", json_integer(1));
    json_object_set_new(j, "uid", json_integer(state->uid));
    json_object_set_new(j, "gid", json_integer(state->gid));
    json_put_str(j, "owner", state->owner);
    put_oid(j, "base", &state->base);
    json_object_set_new(j, "base_mtime", json_integer(state->base_mtime));
    json_object_set_new(j, "upper", json_integer(state->upper));
    if (!oid_is_zero(&state->next_base)) {
        put_oid(j, "next_base", &state->next_base);
        json_object_set_new(j, "next_mtime", json_integer(state->next_mtime));
    }
    if (state->kept)
        json_object_set_new(j, "kept", json_true());
    if (state->autocommit)
        json_object_set_new(j, "autocommit", json_integer(state->autocommit));
    json_write(j, 1, out);
    buf_addc(out, '\n');
    json_decref(j);
}

int workspace_state_save(int dirfd, const struct workspace_state *state)
{
    _cleanup_(buf_done) struct buf text = {0};

    render(state, &text);
    return io_replace_file(dirfd, "state", text.data, text.len, 0600);
}

bool workspace_state_is(int dirfd, const struct workspace_state *state)
{
    _cleanup_(buf_done) struct buf text = {0}, found = {0};

    render(state, &text);
    return io_read_file(dirfd, "state", STATE_MOST, &found) == 0 && found.len == text.len &&
           !memcmp(found.data, text.data, text.len);
}
