/* The file that a workspace keeps its state in. */
#include "fuzz.h"

#include <fcntl.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "stage/workspace_state.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    _cleanup_close_ int fd = -1;
    struct workspace_state state = {0};

    fuzz_write("state", data, size);
    fd = open(fuzz_dir(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (workspace_state_load(fd, &state, NULL) == 0)
        free(state.owner);
    return 0;
}
