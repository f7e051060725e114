#include "stage/proposal.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "stage/author.h"
#include "stage/trailer.h"

#define FIELD         "Onward-"
#define F_NUMBER      FIELD "Proposal"
#define F_WORKSPACE   FIELD "Workspace"
#define F_OWNER       FIELD "Owner"
#define F_ID          FIELD "Id"
#define F_APPROVES    FIELD "Approves"
#define F_MERGED      FIELD "Merged-As"
#define F_WITHDRAWN   FIELD "Withdrawn"
#define NUMBER_DIGITS 18

uint64_t proposal_number(const char *ref)
{
    const char *digits = ref + strlen(PROPOSAL_REFS);

    if (strncmp(ref, PROPOSAL_REFS, strlen(PROPOSAL_REFS)) || *digits < '1' || *digits > '9' ||
        strspn(digits, "0123456789") != strlen(digits) || strlen(digits) > NUMBER_DIGITS)
        return 0;
    return strtoull(digits, NULL, 10);
}

char *proposal_ref_name(uint64_t number)
{
    return xasprintf(PROPOSAL_REFS "%" PRIu64, number);
}

/* People */

static void signature_copy(const struct signature *from, struct signature *ret)
{
    *ret = (struct signature){
        .name = xstrdup(from->name),
        .email = xstrdup(from->email),
        .time = from->time,
        .offset = from->offset,
    };
}

char *signature_text(const struct signature *s)
{
    struct buf out = {0};

    buf_add_visible(&out, s->name);
    buf_adds(&out, " <");
    buf_add_visible(&out, s->email);
    buf_addc(&out, '>');
    return buf_take(&out);
}

/* Is this the address in "Name <address>"? */
static bool is_address_of(const char *text, const char *email)
{
    const char *open = strrchr(text, '<');
    size_t len = strlen(email);

    return open && strlen(open) == len + 2 && !strncasecmp(open + 1, email, len);
}

bool proposal_is_of(const struct proposal *p, const struct signature *who)
{
    return !strcasecmp(p->author.email, who->email) ||
           (p->owner && is_address_of(p->owner, who->email));
}

const struct approval *proposal_approval_by(const struct proposal *p, const struct signature *who)
{
    vec_foreach (a, &p->approvals)
        if (!strcasecmp(a->who.email, who->email))
            return a;
    return NULL;
}

/* Fields */

/* The last paragraph of a message when all its lines are fields of ours; NULL. */
static const char *find_fields(const char *message)
{
    const char *at = NULL;

    for (const char *p = message; (p = strstr(p, "\n\n")); p++)
        at = p + 2;
    if (!at || !*at)
        return NULL;
    for (const char *line = at, *end; *line; line = end + 1) {
        end = strchr(line, '\n');
        if (strncmp(line, FIELD, strlen(FIELD)) || !end)
            return NULL;
    }
    return at;
}

char *proposal_field(const char *message, const char *key)
{
    const char *line = find_fields(message);

    for (const char *end; line && *line; line = end + 1) {
        end = strchr(line, '\n');
        size_t len = strlen(key);
        if (!strncmp(line, key, len) && !strncmp(line + len, ": ", 2))
            return xstrndup(line + len + 2, end - line - len - 2);
    }
    return NULL;
}

static int field_oid(const char *message, const char *key, struct oid *ret)
{
    _cleanup_free_ char *value = proposal_field(message, key);

    return value ? oid_parse(value, ret) : -ENOENT;
}

static char *closing_text(uint64_t number, const char *what, const char *field,
                          const struct oid *oid)
{
    char hex[OID_HEX + 1];

    return xasprintf("%s proposal %" PRIu64 "\n\n%s: %s\n", what, number, field, oid_hex(oid, hex));
}

char *proposal_merging_text(uint64_t number, const struct oid *as)
{
    return closing_text(number, "Merge", F_MERGED, as);
}

char *proposal_withdrawal_text(uint64_t number, const struct oid *content)
{
    return closing_text(number, "Withdraw", F_WITHDRAWN, content);
}

char *proposal_approval_text(uint64_t number, const struct oid *content, const char *comment)
{
    struct buf out = {0};
    char hex[OID_HEX + 1];

    buf_addf(&out, "Approve proposal %" PRIu64 "\n\n", number);
    if (*comment)
        buf_addf(&out, "%s\n\n", comment);
    buf_addf(&out, F_APPROVES ": %s\n", oid_hex(content, hex));
    return buf_take(&out);
}

char *proposal_content_text(const struct proposal *like)
{
    if (!like->id)
        return xstrdup(like->message);
    return xasprintf("%s\n" F_NUMBER ": %" PRIu64 "\n" F_WORKSPACE ": %s\n" F_OWNER ": %s\n" F_ID
                     ": %s\n",
                     like->message, like->number, like->workspace, like->owner, like->id);
}

/* Does the message end in a paragraph of trailers, to which more can be added? */
static bool ends_in_trailers(const char *message)
{
    _cleanup_(buf_done) struct buf found = {0};

    revision_trailers(message, &found);
    return found.len;
}

char *proposal_revision_text(const struct proposal *p)
{
    struct buf out = {0};
    size_t len = strlen(p->message);

    while (len && strchr("\r\n ", p->message[len - 1]))
        len--;
    buf_add(&out, p->message, len);
    buf_adds(&out, ends_in_trailers(p->message) ? "\n" : "\n\n");
    vec_foreach (a, &p->approvals) {
        _cleanup_free_ char *who = signature_text(&a->who);
        buf_addf(&out, TRAILER_APPROVED ": %s\n", who);
    }
    return buf_take(&out);
}

/* Loading */

static void approval_done(struct approval *a)
{
    author_done(&a->who);
    free(a->comment);
}

struct proposal *proposal_ref(struct proposal *p)
{
    __atomic_add_fetch(&p->refs, 1, __ATOMIC_RELAXED);
    return p;
}

void proposal_unref(struct proposal *p)
{
    if (!p || __atomic_sub_fetch(&p->refs, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    vec_foreach (a, &p->approvals)
        approval_done(a);
    free(p->approvals.v);
    author_done(&p->author);
    free(p->message);
    free(p->workspace);
    free(p->owner);
    free(p->id);
    free(p);
}

/* What stands between the first paragraph and the fields. */
static char *take_comment(const char *message)
{
    const char *from = strstr(message, "\n\n"), *fields = find_fields(message);

    if (!from || !fields || fields < from + 4)
        return xstrdup("");
    return xstrndup(from + 2, fields - from - 4);
}

/* The number of the content record must be that of the ref: records are not to be moved. */
static int take_fields(struct proposal *p, const char *message)
{
    _cleanup_free_ char *number = proposal_field(message, F_NUMBER);

    if (!number) {
        p->message = xstrdup(message);
        return 0;
    }
    p->workspace = proposal_field(message, F_WORKSPACE);
    p->owner = proposal_field(message, F_OWNER);
    p->id = proposal_field(message, F_ID);
    if (strtoull(number, NULL, 10) != p->number || !p->workspace || !p->owner || !p->id)
        return -EINVAL;
    p->message = xstrndup(message, find_fields(message) - message - 1);
    return 0;
}

static int take_content(struct repo *repo, struct proposal *p, const struct revision *rev,
                        struct diag *reterr)
{
    struct revision_brief base = {0};

    if (rev->nparents > 1)
        return diag_fail(reterr, -EINVAL, "it is a merge");
    if (!*rev->author.email)
        return diag_fail(reterr, -EINVAL, "its author has no address");
    if (take_fields(p, rev->message) < 0)
        return diag_fail(reterr, -EINVAL, "its fields do not belong to this number");
    if (rev->nparents) {
        p->base = rev->parents[0];
        int r = revision_brief(repo, &p->base, &base);
        if (r == -ENOENT)
            return diag_fail(reterr, -EINVAL, "its base is not in the repository");
        if (r < 0)
            return diag_fail(reterr, r, "its base cannot be read: %s", strerror(-r));
    }
    p->base_tree = base.tree;
    p->content = rev->oid;
    p->tree = rev->tree;
    signature_copy(&rev->author, &p->author);
    return 0;
}

/* One record that is not the content; each one's content and tree are compared in the end. */
struct claim {
    struct oid content, tree;
};
struct claims {
    VEC(struct claim);
};

static int take_record(struct proposal *p, const struct revision *rev, struct claims *claims,
                       struct diag *reterr)
{
    struct claim claim = {.tree = rev->tree};
    bool last = oid_equal(&rev->oid, &p->tip);

    if (rev->nparents != 1)
        return diag_fail(reterr, -EINVAL, "a record does not have one parent");
    if (last && field_oid(rev->message, F_MERGED, &p->as) == 0) {
        p->state = PROPOSAL_MERGING;
    } else if (last && field_oid(rev->message, F_WITHDRAWN, &claim.content) == 0) {
        p->state = PROPOSAL_WITHDRAWN;
    } else if (field_oid(rev->message, F_APPROVES, &claim.content) == 0) {
        struct approval a = {.record = rev->oid, .comment = take_comment(rev->message)};
        signature_copy(&rev->author, &a.who);
        *VEC_ADD(&p->approvals) = a;
    } else {
        return diag_fail(reterr, -EINVAL, "a record is of no kind that is known");
    }
    if (last && p->state != PROPOSAL_OPEN)
        p->before = rev->parents[0];
    *VEC_ADD(claims) = claim;
    return 0;
}

static bool is_record(const char *message)
{
    static const char *const keys[] = {F_APPROVES, F_MERGED, F_WITHDRAWN};

    for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
        _cleanup_free_ char *value = proposal_field(message, keys[i]);
        if (value)
            return true;
    }
    return false;
}

static int walk(struct repo *repo, struct proposal *p, struct claims *claims, struct diag *reterr)
{
    struct oid at = p->tip;

    for (int i = 0; i <= PROPOSAL_APPROVALS_MOST + 1; i++) {
        _cleanup_(revision_freep) struct revision *rev = NULL;
        int r = revision_load(repo, &at, &rev);
        if (r < 0)
            return diag_fail(reterr, r == -ENOENT ? -EINVAL : r, "a record cannot be read: %s",
                             strerror(-r));
        if (strlen(rev->message) > PROPOSAL_MESSAGE_MOST)
            return diag_fail(reterr, -EINVAL, "a record is too long");
        if (!is_record(rev->message))
            return take_content(repo, p, rev, reterr);
        r = take_record(p, rev, claims, reterr);
        if (r < 0)
            return r;
        at = rev->parents[0];
    }
    return diag_fail(reterr, -EINVAL, "it has too many records");
}

/* Leaves one approval a person, the oldest, and none of the author's: others may have written them.
 */
static void keep_true_approvals(struct proposal *p)
{
    __typeof__(p->approvals) all = p->approvals;

    memset(&p->approvals, 0, sizeof(p->approvals));
    for (size_t i = all.n; i-- > 0;)
        if (!*all.v[i].who.email || proposal_is_of(p, &all.v[i].who) ||
            proposal_approval_by(p, &all.v[i].who))
            approval_done(&all.v[i]);
        else
            *VEC_ADD(&p->approvals) = all.v[i];
    free(all.v);
}

static int verify(struct proposal *p, const struct claims *claims, struct diag *reterr)
{
    vec_foreach (c, claims)
        if (!oid_equal(&c->tree, &p->tree) ||
            (!oid_is_zero(&c->content) && !oid_equal(&c->content, &p->content)))
            return diag_fail(reterr, -EINVAL, "a record is of another content");
    keep_true_approvals(p);
    return 0;
}

int proposal_load(struct repo *repo, uint64_t number, const struct oid *tip, struct proposal **ret,
                  struct diag *reterr)
{
    _cleanup_(proposal_unrefp) struct proposal *p = NEW(struct proposal);
    struct claims claims = {0};

    p->refs = 1;
    p->number = number;
    p->tip = *tip;
    int r = walk(repo, p, &claims, reterr);
    if (r == 0)
        r = verify(p, &claims, reterr);
    free(claims.v);
    if (r == 0)
        *ret = TAKE(p);
    return r;
}
