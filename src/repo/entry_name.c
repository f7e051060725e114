#include "repo/entry_name.h"

#include <string.h>
#include <strings.h>

#include <git2/sys/path.h>

#include "base/utf8.h"

/* What may follow a name on NTFS without changing it: dots and blanks, and then, as everywhere,
 * what is no part of it. */
static bool ends_on_ntfs(const char *p)
{
    p += strspn(p, ". ");
    return !*p || *p == '\\' || *p == ':';
}

static bool is_gits_on_ntfs(const char *name)
{
    return (!strncasecmp(name, ".git", 4) && ends_on_ntfs(name + 4)) ||
           (!strncasecmp(name, "git~1", 5) && ends_on_ntfs(name + 5));
}

/* Characters that HFS+ does not see, as UTF-8: joiners and marks of direction. */
static const char *const unseen[] = {
    "\u200c", "\u200d", "\u200e", "\u200f", "\u202a", "\u202b", "\u202c", "\u202d",
    "\u202e", "\u206a", "\u206b", "\u206c", "\u206d", "\u206e", "\u206f", "\ufeff",
};

static const char *skip_unseen(const char *p)
{
    for (size_t i = 0; i < sizeof(unseen) / sizeof(*unseen); i++)
        if (!strncmp(p, unseen[i], strlen(unseen[i])))
            return skip_unseen(p + strlen(unseen[i]));
    return p;
}

/* As Git does, bytes that are no character are taken for the end. */
static bool is_gits_on_hfs(const char *name)
{
    for (const char *want = ".git"; *want; want++, name++) {
        name = skip_unseen(name);
        if (strncasecmp(name, want, 1) != 0)
            return false;
    }
    name = skip_unseen(name);
    return !*name || utf8_len(name) == 0;
}

bool entry_name_is_gits(const char *name)
{
    if (is_gits_on_hfs(name) || is_gits_on_ntfs(name))
        return true;
    for (const char *p = strchr(name, '\\'); p; p = strchr(p + 1, '\\'))
        if (is_gits_on_ntfs(p + 1))
            return true;
    return false;
}

bool entry_name_is_modules(const char *name)
{
    return git_path_is_gitfile(name, strlen(name), GIT_PATH_GITFILE_GITMODULES,
                               GIT_PATH_FS_GENERIC) == 1;
}
