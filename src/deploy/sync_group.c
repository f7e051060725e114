#include "deploy/sync_group.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/cleanup.h"

#ifndef XFS_SUPER_MAGIC
#define XFS_SUPER_MAGIC 0x58465342
#endif

/* A filesystem that somebody writes to. */
struct sync_disk {
    dev_t dev;
    int fd; /* hears of every error since the first of the members came */
    size_t members;
    bool syncing;
    uint64_t begun, ended; /* syncs, by number; they follow one another */
    uint64_t errors;       /* syncs that have failed… */
    int error;             /* …the newest of these, how */
};

struct sync_group {
    pthread_mutex_t lock; /* of everything; never held over a disk */
    pthread_cond_t ended;
    VEC(struct sync_disk *) disks;
};

struct sync_group *sync_group_new(void)
{
    struct sync_group *g = NEW(struct sync_group);

    pthread_mutex_init(&g->lock, NULL);
    pthread_cond_init(&g->ended, NULL);
    return g;
}

void sync_group_free(struct sync_group *g)
{
    if (!g)
        return;
    free(g->disks.v);
    pthread_mutex_destroy(&g->lock);
    pthread_cond_destroy(&g->ended);
    free(g);
}

/* Local filesystems whose syncfs() ends when everything is on the disk, as their fsync() does. */
static bool is_suited(int fd)
{
    struct statfs fs;

    if (fstatfs(fd, &fs) < 0)
        return false;
    return fs.f_type == EXT4_SUPER_MAGIC || fs.f_type == XFS_SUPER_MAGIC ||
           fs.f_type == BTRFS_SUPER_MAGIC;
}

/* NULL: it is not there, and a file to hear of errors by cannot be had. */
static struct sync_disk *get_disk(struct sync_group *g, int fd, dev_t dev)
{
    vec_foreach (d, &g->disks)
        if ((*d)->dev == dev)
            return *d;
    int own = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (own < 0)
        return NULL;
    struct sync_disk *disk = *VEC_ADD(&g->disks) = NEW(struct sync_disk);
    disk->dev = dev;
    disk->fd = own;
    return disk;
}

void sync_group_join(struct sync_group *g, int fd, struct sync_member *ret)
{
    struct stat st;

    *ret = (struct sync_member){.group = g};
    if (fstat(fd, &st) < 0 || !is_suited(fd))
        return;
    pthread_mutex_lock(&g->lock);
    ret->disk = get_disk(g, fd, st.st_dev);
    if (ret->disk) {
        ret->together = ++ret->disk->members >= SYNC_GROUP_FROM;
        ret->errors = ret->disk->errors;
    }
    pthread_mutex_unlock(&g->lock);
}

/* Does the next sync; called and returns with the lock, which is open meanwhile. */
static void sync_disk(struct sync_group *g, struct sync_disk *d)
{
    uint64_t number = ++d->begun;
    int r;

    d->syncing = true;
    pthread_mutex_unlock(&g->lock);
    /* Without a journal some write what names lead to after they told the disk to empty its cache:
     * the fsync of any directory tells it again. */
    r = syncfs(d->fd) < 0 || fsync(d->fd) < 0 ? -errno : 0;
    pthread_mutex_lock(&g->lock);
    d->syncing = false;
    d->ended = number;
    d->errors += r < 0;
    d->error = r < 0 ? r : d->error;
    pthread_cond_broadcast(&g->ended);
}

int sync_member_wait(struct sync_member *m)
{
    struct sync_disk *d = m->disk;

    pthread_mutex_lock(&m->group->lock);
    uint64_t wanted = d->begun + 1; /* one that runs may be past what we wrote */
    while (d->ended < wanted) {
        if (d->syncing)
            pthread_cond_wait(&m->group->ended, &m->group->lock);
        else
            sync_disk(m->group, d);
    }
    int r = d->errors != m->errors ? d->error : 0;
    pthread_mutex_unlock(&m->group->lock);
    return r;
}

static void remove_disk(struct sync_group *g, struct sync_disk *disk)
{
    size_t i = 0;

    while (g->disks.v[i] != disk)
        i++;
    g->disks.v[i] = g->disks.v[--g->disks.n];
    closep(&disk->fd);
    free(disk);
}

void sync_member_leave(struct sync_member *m)
{
    if (!m->disk)
        return;
    pthread_mutex_lock(&m->group->lock);
    if (--m->disk->members == 0)
        remove_disk(m->group, m->disk); /* nobody holds up an unmount */
    pthread_mutex_unlock(&m->group->lock);
    *m = (struct sync_member){0};
}
