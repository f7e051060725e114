/* Functions that this project never calls: each has a safe sister. Forced into every source file by
 * meson.build, so a use of one does not compile. */
#ifndef ONWARD_BASE_BANNED_H
#define ONWARD_BASE_BANNED_H

#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#undef basename
#pragma GCC poison strcpy strcat strncpy strncat sprintf vsprintf strtok atoi atol atoll
#pragma GCC poison gmtime localtime asctime basename
/* A name that libgit2's headers give to a member, so only calls of it can be refused. */
#undef ctime
#define ctime(t) ctime_is_banned_use_clock_format

#endif
