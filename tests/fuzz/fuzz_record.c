/* A record of the ledger: what can be read is the same after it was written and read again, unless
 * it is of a newer format, which nobody writes again. */
#include "fuzz.h"

#include <assert.h>
#include <string.h>

#include "base/buf.h"
#include "ledger/record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    _cleanup_(buf_done) struct buf one = {0}, two = {0}, words = {0};
    _cleanup_(record_done) struct record r = {0}, again = {0};

    if (record_decode((const char *)data, size, &r, NULL) < 0)
        return 0;
    record_summary(&r, &words);
    if (r.kind == RECORD_NEWER)
        return 0;
    record_encode(&r, &one);
    assert(record_decode(one.data, one.len, &again, NULL) == 0);
    record_encode(&again, &two);
    assert(one.len == two.len && !memcmp(one.data, two.data, one.len));
    return 0;
}
