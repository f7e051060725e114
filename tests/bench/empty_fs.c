/* The least that a filesystem in user space can do: what it takes to make files in it is taken by
 * the kernel and by libfuse. Mounts itself, serves until it is unmounted.
 *
 * It keeps nothing, not even names: what is made gets a number, even for directories, odd for
 * files, and the kernel remembers which name has which. Whatever it asks for was never made. What
 * is written is thrown away. With the kernel it agrees on the same as onwardfs: nothing is opened
 * or closed, names and attributes are good for ever, pages are written through.
 *
 * usage: empty_fs MOUNTPOINT */
#define FUSE_USE_VERSION 312
#include <errno.h>
#include <fuse_lowlevel.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>

#define FOREVER 1e9 /* seconds */

static fuse_ino_t dirs = 2, files = 3;

static struct stat attr_of(fuse_ino_t id)
{
    mode_t mode = id == FUSE_ROOT_ID || id % 2 == 0 ? S_IFDIR | 0755 : S_IFREG | 0644;

    return (struct stat){.st_ino = id, .st_mode = mode, .st_nlink = 1};
}

static struct fuse_entry_param entry_of(fuse_ino_t id)
{
    return (struct fuse_entry_param){
        .ino = id, .attr = attr_of(id), .attr_timeout = FOREVER, .entry_timeout = FOREVER};
}

static void on_init(void *userdata, struct fuse_conn_info *conn)
{
    conn->want = conn->capable &
                 (FUSE_CAP_ASYNC_READ | FUSE_CAP_AUTO_INVAL_DATA | FUSE_CAP_ASYNC_DIO |
                  FUSE_CAP_PARALLEL_DIROPS | FUSE_CAP_NO_OPEN_SUPPORT |
                  FUSE_CAP_NO_OPENDIR_SUPPORT | FUSE_CAP_READDIRPLUS | FUSE_CAP_CACHE_SYMLINKS);
    conn->time_gran = 1;
}

static void on_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    fuse_reply_err(req, ENOENT);
}

static void on_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *opened)
{
    struct stat attr = attr_of(ino);

    fuse_reply_attr(req, &attr, FOREVER);
}

static void on_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
    struct fuse_entry_param e = entry_of(dirs += 2);

    fuse_reply_entry(req, &e);
}

static void on_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
                      struct fuse_file_info *opened)
{
    struct fuse_entry_param e = entry_of(files += 2);

    opened->direct_io = opened->keep_cache = true;
    fuse_reply_create(req, &e, opened);
}

static void on_write(fuse_req_t req, fuse_ino_t ino, const char *data, size_t size, off_t off,
                     struct fuse_file_info *opened)
{
    fuse_reply_write(req, size);
}

static void not_here(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *opened)
{
    fuse_reply_err(req, ENOSYS);
}

static const struct fuse_lowlevel_ops ops = {
    .init = on_init,
    .lookup = on_lookup,
    .getattr = on_getattr,
    .mkdir = on_mkdir,
    .create = on_create,
    .write = on_write,
    .open = not_here,
    .opendir = not_here,
    .flush = not_here,
};

int main(int argc, char **argv)
{
    struct fuse_args none = FUSE_ARGS_INIT(1, argv);
    struct fuse_session *session = fuse_session_new(&none, &ops, sizeof(ops), NULL);

    if (argc != 2 || !session || fuse_session_mount(session, argv[1]) < 0)
        return 1;
    int r = fuse_session_loop(session);
    fuse_session_unmount(session);
    fuse_session_destroy(session);
    return r < 0;
}
