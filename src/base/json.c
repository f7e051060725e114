#include "base/json.h"

#include <errno.h>

#include "base/clock.h"
#include "base/utf8.h"

int json_read(const char *data, size_t len, json_t **ret, struct diag *reterr)
{
    json_error_t err;
    json_t *j = json_loadb(data, len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &err);

    if (!j)
        return diag_fail(reterr, -EINVAL, "%d:%d: %s", err.line, err.column, err.text);
    *ret = j;
    return 0;
}

static int add(const char *data, size_t len, void *out)
{
    buf_add(out, data, len);
    return 0;
}

void json_write(const json_t *j, int pretty, struct buf *out)
{
    json_dump_callback(j, add, out, JSON_ENCODE_ANY | (pretty ? JSON_INDENT(2) : JSON_COMPACT));
}

const char *json_str(const json_t *obj, const char *key, const char *fallback)
{
    const char *s = json_string_value(json_object_get(obj, key));

    return s ? s : fallback;
}

json_int_t json_int(const json_t *obj, const char *key, json_int_t fallback)
{
    const json_t *i = json_object_get(obj, key);

    return json_is_integer(i) ? json_integer_value(i) : fallback;
}

void json_put_str(json_t *obj, const char *key, const char *value)
{
    if (!value) {
        json_object_set_new(obj, key, json_null());
        return;
    }
    _cleanup_(buf_done) struct buf clean = {0};
    for (const char *s = value; *s;) {
        int n = utf8_len(s);
        if (n)
            buf_add(&clean, s, n);
        else
            buf_adds(&clean, "\xef\xbf\xbd");
        s += n ? n : 1;
    }
    json_object_set_new(obj, key, json_stringn(buf_str(&clean), clean.len));
}

void json_put_time(json_t *obj, const char *key, int64_t real)
{
    char text[CLOCK_TEXT];

    json_put_str(obj, key, real ? clock_format(real, text) : NULL);
}
