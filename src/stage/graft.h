/* Filling an upper that a workspace is about to move to, so that over its new base it shows what it
 * shall show. Nothing looks at the upper meanwhile; what was filled in is durable on return. */
#ifndef ONWARD_STAGE_GRAFT_H
#define ONWARD_STAGE_GRAFT_H

#include "stage/overlay.h"

/* Directories that the workspace has, and Git has not: paths, sorted. */
struct kept_dir {
    char *path;
    mode_t mode;
};
struct kept_dirs {
    VEC(struct kept_dir);
};
void kept_dirs_done(struct kept_dirs *keep);

struct graft {
    struct overlay overlay; /* of the new upper */
    struct overlay_dir root;
};

/* What the new upper is to show, and where that is to be had. */
struct graft_source {
    struct oid shown; /* the tree */
    struct oid ours;  /* what the old upper shows now */
    int upper;        /* the old one; files that stay as they are become the new one's, too */
    bool share;       /* the trees that its directories are merged with stay in the repository */
};

/* For an empty new upper. */
int graft_tree(struct graft *g, const struct graft_source *source);
/* Makes the directories, as far as what is there leaves room for them. */
int graft_dirs(struct graft *g, const struct kept_dirs *keep);

#endif
