#include "repo/packing.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/command.h"
#include "repo/handle.h"

/* Git's defaults, and its way to guess: ids are spread evenly over 256 directories. */
#define LOOSE_MOST 6700
#define PACKS_MOST 50
#define SAMPLE     "17"
#define SAMPLES    256

#define LONGEST    (3600 * NS_PER_SEC)
#define KILL_AFTER (10 * NS_PER_SEC)
#define KEEP       4096 /* bytes of what git says */

/* Names in the directory that end in `suffix` (of any length: ""), "." and ".." not among them. */
static long count_names(const char *path, const char *suffix)
{
    DIR *dir = opendir(path);
    size_t tail = strlen(suffix);
    long n = 0;

    for (struct dirent *e; dir && (e = readdir(dir));) {
        size_t len = strlen(e->d_name);
        n += e->d_name[0] != '.' && len >= tail && !strcmp(e->d_name + len - tail, suffix);
    }
    if (dir)
        closedir(dir);
    return n;
}

/* A limit of the configuration, the repository's or the user's. */
static long limit(struct handle *h, const char *key, long fallback)
{
    git_config *config = NULL;
    int32_t value;
    int code = git_repository_config_snapshot(&config, h->git);

    if (code == 0)
        code = git_config_get_int32(&value, config, key);
    git_config_free(config);
    return code == 0 ? value : fallback;
}

static bool is_crowded(struct handle *h)
{
    const char *objects = h->repo->objects_dir;
    _cleanup_free_ char *sample = xasprintf("%s/" SAMPLE, objects);
    _cleanup_free_ char *pack = xasprintf("%s/pack", objects);
    long loose = limit(h, "gc.auto", LOOSE_MOST), packs = limit(h, "gc.autopacklimit", PACKS_MOST);

    if (loose <= 0)
        return false;
    if (count_names(sample, "") > (loose + SAMPLES - 1) / SAMPLES)
        return true;
    return packs > 0 && count_names(pack, ".pack") - count_names(pack, ".keep") > packs;
}

bool packing_is_due(struct repo *repo)
{
    _cleanup_(handle_give_backp) struct handle *h = NULL;
    _cleanup_free_ char *gc = xasprintf("%s/gc.pid", repo->common_dir);
    struct stat st;

    return stat(gc, &st) < 0 && handle_borrow(repo, &h, NULL) == 0 && is_crowded(h);
}

int packing_run(struct repo *repo, int stop_fd, struct diag *reterr)
{
    _cleanup_free_ char *git = command_find("git"), *home = command_home();
    _cleanup_free_ char *dir = xasprintf("--git-dir=%s", repo->common_dir);
    _cleanup_(command_strings_done) struct command_strings env = {0};
    const char *argv[] = {"git",    dir,
                          "-c",     "core.fsync=all",
                          "-c",     "pack.threads=1",
                          "-c",     "repack.writeBitmaps=false",
                          "repack", "-q",
                          "-d",     "--geometric=2",
                          NULL};
    struct command_end end = {0};

    if (!git)
        return diag_fail(reterr, -ENOENT, "there is no git in %s", COMMAND_PATH);
    command_strings_clean(&env, home);
    VEC_ADD(&env);
    struct command c = {.path = git,
                        .argv = argv,
                        .envp = (const char *const *)env.v,
                        .cwd = repo->common_dir,
                        .keep = KEEP,
                        .timeout = LONGEST,
                        .kill_after = KILL_AFTER,
                        .stop_fd = stop_fd};
    int r = command_run(&c, &end, reterr);
    _cleanup_(buf_done) struct buf said = end.output;
    if (r < 0 || end.status == 0 || end.stopped)
        return r;
    _cleanup_free_ char *status = command_status(end.status);
    return diag_fail(reterr, -EIO, "git repack: %s: %.300s", status, buf_str(&said));
}
