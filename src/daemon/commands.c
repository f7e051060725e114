#include <stdio.h>
#include <stdlib.h>

#include "base/keeping.h"
#include "daemon/confine.h"

/* onward-commands SOCKET LOCK: the process that starts commands for the daemon (base/keeper.h), a
 * program of its own because it is small. Its arguments are the numbers of descriptors. */
int main(int argc, char **argv)
{
    if (argc != 3) {
        fprintf(stderr, KEEPING_NAME ": onwardfs starts this\n");
        return 2;
    }
    confine_memory();
    keeping_run(strtol(argv[1], NULL, 10), strtol(argv[2], NULL, 10));
}
