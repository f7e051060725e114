/* Who a user is in Git's words: from the host's configuration, else from the account. */
#ifndef ONWARD_DAEMON_IDENTITY_H
#define ONWARD_DAEMON_IDENTITY_H

#include <sys/types.h>

#include "daemon/config.h"

/* Name and address; both yours. Without a configured identity: the account's full name or login,
 * and <login@host>. Without an account: "uid N". */
void identity_find(const struct config *config, const char *host, uid_t uid, char **ret_name,
                   char **ret_email);

#endif
