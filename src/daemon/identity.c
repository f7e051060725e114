#include "daemon/identity.h"

#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/cleanup.h"

void identity_find(const struct config *config, const char *host, uid_t uid, char **ret_name,
                   char **ret_email)
{
    vec_foreach (i, &config->identities)
        if (i->uid == uid) {
            *ret_name = xstrdup(i->name);
            *ret_email = xstrdup(i->email);
            return;
        }
    struct passwd pw, *found = NULL;
    char space[16384];
    if (getpwuid_r(uid, &pw, space, sizeof(space), &found) || !found) {
        *ret_name = xasprintf("uid %u", uid);
        *ret_email = xasprintf("uid-%u@%s", uid, host);
        return;
    }
    size_t full = strcspn(pw.pw_gecos, ",");
    *ret_name = full ? xstrndup(pw.pw_gecos, full) : xstrdup(pw.pw_name);
    *ret_email = xasprintf("%s@%s", pw.pw_name, host);
}
