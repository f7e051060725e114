#include "daemon/durable.h"

#include <linux/magic.h>
#include <sys/vfs.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/cleanup.h"

static const struct {
    unsigned long magic;
    const char *name, *why;
} doubtful[] = {
    {TMPFS_MAGIC, "tmpfs", "is in memory: a restart of the host loses it"},
    {RAMFS_MAGIC, "ramfs", "is in memory: a restart of the host loses it"},
    {OVERLAYFS_SUPER_MAGIC, "overlayfs", "may not sync (volatile), or end with a container"},
    {FUSE_SUPER_MAGIC, "FUSE", "is another program's, which may not sync"},
    {NFS_SUPER_MAGIC, "NFS", "is another host's, whose exports may be asynchronous"},
    {SMB_SUPER_MAGIC, "SMB", "is another host's, which may not sync"},
    {CIFS_SUPER_MAGIC, "SMB", "is another host's, which may not sync"},
    {SMB2_SUPER_MAGIC, "SMB", "is another host's, which may not sync"},
    {V9FS_MAGIC, "9p", "is another host's, which may not sync"},
    {CEPH_SUPER_MAGIC, "Ceph", "is other hosts', which may not sync"},
};

static void add_doubt(struct buf *out, const char *what, const char *dir)
{
    struct statfs st;

    if (!dir || statfs(dir, &st) < 0)
        return;
    for (size_t i = 0; i < ARRAY_SIZE(doubtful); i++)
        if ((unsigned long)st.f_type == doubtful[i].magic)
            buf_addf(out, "%s%s %s is on %s, which %s", out->len ? "; " : "", what, dir,
                     doubtful[i].name, doubtful[i].why);
}

char *durable_doubt(const char *state_dir, const char *repository)
{
    struct buf text = {0};

    add_doubt(&text, "the state directory", state_dir);
    add_doubt(&text, "the repository", repository);
    return text.len ? buf_take(&text) : NULL;
}
