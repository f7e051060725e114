/* Globs over paths, as people write them in configurations. Within a component `*`, `?` and `[…]`
 * mean what the shell means by them, but match a leading dot, too; a component that is just `**`
 * stands for any number of components, none included. So `*.yaml` is a file in the root, and with
 * two stars and a slash before that it is one anywhere. */
#ifndef ONWARD_BASE_GLOB_H
#define ONWARD_BASE_GLOB_H

#include <stdbool.h>

/* Does the whole path match? Both are relative. Costs at most the product of their components. */
bool glob_match(const char *pattern, const char *path);

#endif
