/* YAML, read as one document and checked as a stream. */
#include "fuzz.h"

#include "base/yaml.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    _cleanup_(findings_done) struct findings f = {0};
    struct yaml *y = yaml_read("x", "yaml", (const char *)data, size, &f);

    yaml_done(y);
    yaml_check("x", (const char *)data, size, &f);
    return 0;
}
