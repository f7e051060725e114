/* Who a commit says it is from. Git's format cannot hold '<', '>' and line ends in names. */
#ifndef ONWARD_STAGE_AUTHOR_H
#define ONWARD_STAGE_AUTHOR_H

#include "repo/revision.h"
#include "stage/staging.h"

/* The login name of a user, or the number if there is no account. Yours. */
char *author_account(uid_t uid);
/* The signature of a user: as config->identity says, else from the account. Now, UTC. */
void author_of(const struct staging_config *config, uid_t uid, struct signature *ret);
/* The signature of this host: onwardfs <onwardfs@HOST>. */
void author_host(const struct staging_config *config, struct signature *ret);
void author_done(struct signature *s);

#endif
