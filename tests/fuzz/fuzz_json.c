/* JSON: what can be read is the same after it was written and read again. */
#include "fuzz.h"

#include <assert.h>

#include "base/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    _cleanup_(buf_done) struct buf text = {0};
    json_t *j, *again;

    if (json_read((const char *)data, size, &j, NULL) < 0)
        return 0;
    json_write(j, 0, &text);
    if (json_is_object(j) || json_is_array(j)) {
        assert(json_read(text.data, text.len, &again, NULL) == 0);
        json_decref(again);
    }
    json_decref(j);
    return 0;
}
