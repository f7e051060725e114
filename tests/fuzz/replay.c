/* Gives a target the files of a directory, and each of them cut short in some places. */
#include "fuzz.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/io.h"

#define CUTS 16

int main(int argc, char **argv)
{
    _cleanup_(closedirp) DIR *dir = argc > 1 ? opendir(argv[1]) : NULL;
    int n = 0;

    for (struct dirent *e; dir && (e = readdir(dir));) {
        _cleanup_(buf_done) struct buf data = {0};
        if (e->d_name[0] == '.' || io_read_file(dirfd(dir), e->d_name, 16 << 20, &data) < 0)
            continue;
        for (size_t cut = 0; cut <= CUTS; cut++)
            LLVMFuzzerTestOneInput((const uint8_t *)buf_str(&data), data.len * cut / CUTS);
        n++;
    }
    printf("1..1\n%s 1 - %d files\n", n ? "ok" : "not ok", n);
    return !n;
}
