#include "repo/giterr.h"

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/cleanup.h"

static const struct {
    int code, err;
} codes[] = {
    {GIT_ENOTFOUND, -ENOENT},     {GIT_EEXISTS, -EEXIST},    {GIT_EAMBIGUOUS, -ENOENT},
    {GIT_ELOCKED, -EAGAIN},       {GIT_EMODIFIED, -EAGAIN},  {GIT_EINVALIDSPEC, -EINVAL},
    {GIT_EINVALID, -EINVAL},      {GIT_ECONFLICT, -EBUSY},   {GIT_EUNCOMMITTED, -EBUSY},
    {GIT_EOWNER, -EACCES},        {GIT_EPEEL, -ENOENT},      {GIT_EBAREREPO, -EINVAL},
    {GIT_EUNBORNBRANCH, -ENOENT}, {GIT_EDIRECTORY, -EISDIR},
};

/* libgit2 keeps no errno, but ends its words with the system's: those that a caller wants to tell
 * from the rest are recognised by them. */
static const int system_errors[] = {ENOSPC, EDQUOT, EROFS,  EACCES, EPERM,
                                    EMFILE, ENFILE, ENOMEM, EIO};

static bool ends_with_errno(const char *text, int err)
{
    const char *words = strerrordesc_np(err);
    size_t n = strlen(text), len = strlen(words);

    return n >= len && !strcmp(text + n - len, words);
}

static int system_errno(const char *text)
{
    for (size_t i = 0; i < ARRAY_SIZE(system_errors); i++)
        if (ends_with_errno(text, system_errors[i]))
            return -system_errors[i];
    return -EIO;
}

const char *giterr_text(void)
{
    const git_error *last = git_error_last();

    return last && last->message && *last->message ? last->message : "no reason given";
}

bool giterr_vanished(void)
{
    return ends_with_errno(giterr_text(), ENOENT);
}

bool giterr_is_system(void)
{
    const git_error *last = git_error_last();

    for (size_t i = 0; i < ARRAY_SIZE(system_errors); i++)
        if (ends_with_errno(giterr_text(), system_errors[i]))
            return true;
    return last && last->klass == GIT_ERROR_NOMEMORY;
}

int giterr_errno(int code)
{
    const git_error *last = git_error_last();

    for (size_t i = 0; i < ARRAY_SIZE(codes); i++)
        if (codes[i].code == code)
            return codes[i].err;
    if (last && last->klass == GIT_ERROR_NOMEMORY)
        return -ENOMEM;
    return system_errno(giterr_text());
}

int giterr_fail(int code, struct diag *reterr, const char *fmt, ...)
{
    int err = giterr_errno(code);
    _cleanup_(buf_done) struct buf what = {0};
    va_list ap;

    va_start(ap, fmt);
    buf_vaddf(&what, fmt, ap);
    va_end(ap);
    return diag_fail(reterr, err, "%s: %s", buf_str(&what), giterr_text());
}
