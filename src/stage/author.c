#include "stage/author.h"

#include <ctype.h>
#include <errno.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"

/* Calls `take` with the account of `uid`, or with NULL if there is none. */
static void with_account(uid_t uid, void (*take)(const struct passwd *pw, void *arg), void *arg)
{
    struct passwd pw, *found = NULL;
    size_t size = 4096;
    _cleanup_free_ char *room = xmalloc(size);

    while (getpwuid_r(uid, &pw, room, size, &found) == ERANGE && size < 1 << 20) {
        size *= 2;
        room = xrealloc(room, size, 1);
    }
    take(found, arg);
}

static void take_login(const struct passwd *pw, void *arg)
{
    if (pw)
        *(char **)arg = xstrdup(pw->pw_name);
}

char *author_account(uid_t uid)
{
    char *login = NULL;

    with_account(uid, take_login, &login);
    return login ? login : xasprintf("%u", uid);
}

/* The first field of the account's comment is the person's name. */
static void take_name(const struct passwd *pw, void *arg)
{
    if (pw && pw->pw_gecos && strcspn(pw->pw_gecos, ","))
        *(char **)arg = xstrndup(pw->pw_gecos, strcspn(pw->pw_gecos, ","));
}

/* Drops what Git's format cannot hold, and what Git itself trims at both ends. */
static char *clean(char *s, const char *fallback)
{
    static const char crud[] = " .,:;<>\"\\'";
    size_t n = 0;

    for (const char *p = s; *p; p++)
        if (*p != '<' && *p != '>' && !iscntrl((unsigned char)*p))
            s[n++] = *p;
    while (n && strchr(crud, s[n - 1]))
        n--;
    size_t from = 0;
    while (from < n && strchr(crud, s[from]))
        from++;
    char *out = n > from ? xstrndup(s + from, n - from) : xstrdup(fallback);
    free(s);
    return out;
}

static void fill(struct signature *s, char *name, char *email)
{
    *s = (struct signature){
        .name = clean(name, "unknown"),
        .email = clean(email, "unknown"),
        .time = clock_real() / NS_PER_SEC,
    };
}

void author_of(const struct staging_config *config, uid_t uid, struct signature *ret)
{
    char *name = NULL, *email = NULL;

    if (config->identity)
        config->identity(uid, &name, &email, config->identity_arg);
    _cleanup_free_ char *login = author_account(uid);
    if (!name)
        with_account(uid, take_name, &name);
    if (!name)
        name = xstrdup(login);
    if (!email)
        email = xasprintf("%s@%s", login, config->host);
    fill(ret, name, email);
}

void author_host(const struct staging_config *config, struct signature *ret)
{
    fill(ret, xstrdup("onwardfs"), xasprintf("onwardfs@%s", config->host));
}

void author_done(struct signature *s)
{
    free(s->name);
    free(s->email);
    *s = (struct signature){0};
}
