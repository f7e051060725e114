#include "repo/revision.h"

#include <ctype.h>
#include <errno.h>
#include <git2.h>
#include <inttypes.h>
#include <unistd.h>

#include "base/alloc.h"
#include "repo/giterr.h"
#include "repo/handle.h"
#include "repo/object_write.h"
#include "repo/source.h"

#define EXPR_MOST    1024
#define PREFIX_LEAST 4 /* as Git */
/* What is larger is asked first whether it is a commit: anybody may look for any object here. */
#define SURELY_SMALL (1 << 20)

static void signature_done(struct signature *s)
{
    free(s->name);
    free(s->email);
}

void revision_free(struct revision *rev)
{
    if (!rev)
        return;
    signature_done(&rev->author);
    signature_done(&rev->committer);
    free(rev->parents);
    free(rev->message);
    free(rev);
}

static int read_large_commit(struct repo *repo, const struct oid *oid, struct unpacked *ret)
{
    git_object_t type;
    uint64_t size;
    int r = source_header(repo->source, oid, &type, &size);

    if (r == 0 && type != GIT_OBJECT_COMMIT)
        return -ENOENT;
    return r < 0 ? r : source_read(repo->source, oid, COMMIT_MOST, ret);
}

/* Reads the commit object. -ENOENT if there is none of this id, or it is something else. */
static int read_commit(struct repo *repo, const struct oid *oid, struct unpacked *ret)
{
    struct unpacked raw;
    int r = source_read(repo->source, oid, SURELY_SMALL, &raw);

    if (r == -EFBIG)
        r = read_large_commit(repo, oid, &raw);
    if (r == -EFBIG)
        return repo_object_bad(repo, oid, "too large for a commit");
    if (r == -ENOENT)
        return access(repo->objects_dir, F_OK) == 0 ? -ENOENT : -EIO; /* is the repository there? */
    if (r < 0)
        return r;
    if (raw.type != GIT_OBJECT_COMMIT) {
        unpacked_done(&raw);
        return -ENOENT;
    }
    *ret = raw;
    return 0;
}

/* "key value\n" at *at: the value, which is `*len` long, and *at behind the line; NULL, and *at
 * stays, if the line has another key. `end` is a NUL. */
static const char *take_line(const char **at, const char *end, const char *key, size_t *len)
{
    size_t n = strlen(key);
    const char *p = *at, *newline = memchr(p, '\n', end - p);

    if (!newline || (size_t)(newline - p) <= n || memcmp(p, key, n) || p[n] != ' ')
        return NULL;
    *len = newline - p - n - 1;
    *at = newline + 1;
    return p + n + 1;
}

static int take_oid(const char **at, const char *end, const char *key, struct oid *ret)
{
    char hex[OID_HEX + 1];
    size_t len;
    const char *value = take_line(at, end, key, &len);

    if (!value)
        return -ENOENT;
    if (len != OID_HEX)
        return -EIO;
    memcpy(hex, value, OID_HEX);
    hex[OID_HEX] = 0;
    return oid_parse(hex, ret) < 0 ? -EIO : 0;
}

/* "+0130" as minutes. */
static int parse_offset(const char *s)
{
    if ((*s != '+' && *s != '-') || !isdigit(s[1]) || !isdigit(s[2]) || !isdigit(s[3]) ||
        !isdigit(s[4]))
        return 0;
    int minutes = ((s[1] - '0') * 10 + (s[2] - '0')) * 60 + (s[3] - '0') * 10 + (s[4] - '0');
    return *s == '-' ? -minutes : minutes;
}

/* The time behind the last '>' of "Ann <ann@example.org> 1767225600 +0130"; 0 if there is none. */
static int64_t parse_time(const char *value, size_t len, int *ret_offset)
{
    const char *close = memrchr(value, '>', len);
    char text[64];

    *ret_offset = 0;
    if (!close)
        return 0;
    snprintf(text, sizeof(text), "%.*s", (int)(value + len - close - 1), close + 1);
    char *end;
    errno = 0;
    long long t = strtoll(text, &end, 10);
    if (errno || end == text)
        return 0;
    *ret_offset = parse_offset(end + strspn(end, " "));
    return t;
}

/* Takes what there is of a name line: commits of other tools are not always well formed, and must
 * show nevertheless. */
static void parse_signature(const char *value, size_t len, struct signature *ret)
{
    const char *open = memchr(value, '<', len);
    const char *close = memrchr(value, '>', len);
    size_t name = open ? (size_t)(open - value) : 0;

    while (name && value[name - 1] == ' ')
        name--;
    ret->name = xstrndup(value, name);
    ret->email = open && close > open ? xstrndup(open + 1, close - open - 1) : xstrdup("");
    ret->time = parse_time(value, len, &ret->offset);
}

static int parse_parents(const char **at, const char *end, struct revision *rev)
{
    VEC(struct oid) parents = {0};
    struct oid oid;
    int r;

    while ((r = take_oid(at, end, "parent", &oid)) == 0)
        *VEC_ADD(&parents) = oid;
    rev->parents = parents.v;
    rev->nparents = parents.n;
    return r == -ENOENT ? 0 : r;
}

static int parse_revision(const char *at, const char *end, struct revision *rev)
{
    size_t author_len = 0, committer_len = 0;

    if (take_oid(&at, end, "tree", &rev->tree) < 0 || parse_parents(&at, end, rev) < 0)
        return -EIO;
    const char *author = take_line(&at, end, "author", &author_len);
    const char *committer = take_line(&at, end, "committer", &committer_len);
    parse_signature(author ? author : "", author_len, &rev->author);
    parse_signature(committer ? committer : "", committer_len, &rev->committer);
    const char *message = *at == '\n' ? at : memmem(at, end - at, "\n\n", 2);
    if (message)
        message += *at == '\n' ? 1 : 2;
    rev->message = message ? xstrndup(message, end - message) : xstrdup("");
    return 0;
}

int revision_load(struct repo *repo, const struct oid *oid, struct revision **ret)
{
    _cleanup_(revision_freep) struct revision *rev = NULL;
    _cleanup_(unpacked_done) struct unpacked raw = {0};
    int r = read_commit(repo, oid, &raw);

    if (r < 0)
        return r;
    rev = NEW(struct revision);
    rev->oid = *oid;
    r = parse_revision(raw.data, (char *)raw.data + raw.size, rev);
    if (r < 0)
        return repo_object_bad(repo, oid, "malformed commit");
    *ret = TAKE(rev);
    return 0;
}

void revision_trailers(const char *message, struct buf *out)
{
    git_message_trailer_array found;

    if (git_message_trailers(&found, message) < 0)
        return;
    for (size_t i = 0; i < found.count; i++) {
        buf_addf(out, "%s: ", found.trailers[i].key);
        /* A value that goes on in indented lines is one line here. */
        for (const char *p = found.trailers[i].value; *p;) {
            buf_addc(out, *p == '\n' ? ' ' : *p);
            p += *p == '\n' ? 1 + strspn(p + 1, " \t\n") : 1;
        }
        buf_addc(out, '\n');
    }
    git_message_trailer_array_free(&found);
}

static int parse_brief(const char *at, const char *end, struct revision_brief *ret)
{
    struct oid more;
    size_t len;
    int offset, r;

    if (take_oid(&at, end, "tree", &ret->tree) < 0)
        return -EIO;
    r = take_oid(&at, end, "parent", &ret->parent);
    while (r == 0)
        r = take_oid(&at, end, "parent", &more);
    if (r != -ENOENT)
        return -EIO;
    take_line(&at, end, "author", &len);
    const char *committer = take_line(&at, end, "committer", &len);
    ret->time = committer ? parse_time(committer, len, &offset) : 0;
    return 0;
}

int revision_brief(struct repo *repo, const struct oid *oid, struct revision_brief *ret)
{
    struct revision_brief brief = {0};
    _cleanup_(unpacked_done) struct unpacked raw = {0};
    int r = read_commit(repo, oid, &raw);

    if (r < 0)
        return r;
    r = parse_brief(raw.data, (char *)raw.data + raw.size, &brief);
    if (r < 0)
        return repo_object_bad(repo, oid, "malformed commit");
    *ret = brief;
    return 0;
}

/* Resolving is done here and not by git_revparse_single(), which leaks 20 KB for each name that it
 * does not know (its regular expressions, in libgit2 1.5). */

/* An unambiguous beginning of an id. */
static int resolve_prefix(struct repo *repo, const char *name, struct oid *ret)
{
    size_t n = strlen(name);

    if (n < PREFIX_LEAST || n > OID_HEX || strspn(name, "0123456789abcdefABCDEF") != n)
        return -ENOENT;
    return source_find(repo->source, name, n, ret);
}

/* A ref, in full or the way people shorten it. */
static int resolve_ref(struct handle *h, const char *name, struct oid *ret)
{
    git_reference *ref = NULL, *direct = NULL;
    int code = git_reference_dwim(&ref, h->git, name);

    if (code == 0)
        code = git_reference_resolve(&direct, ref);
    if (code == 0)
        *ret = oid_from_git(git_reference_target(direct));
    git_reference_free(direct);
    git_reference_free(ref);
    return code == 0 ? 0 : -ENOENT;
}

static int resolve_short(struct repo *repo, const char *name, struct oid *ret)
{
    _cleanup_(handle_give_backp) struct handle *h = NULL;
    int r = handle_borrow(repo, &h, NULL);

    if (r == 0 && resolve_ref(h, name, ret) < 0)
        r = resolve_prefix(repo, name, ret);
    return r;
}

static int resolve_name(struct repo *repo, const char *name, struct oid *ret)
{
    struct oid oid;
    int r = oid_parse(name, &oid) == 0 ? 0 : resolve_short(repo, name, &oid);

    if (r < 0)
        return r;
    *ret = source_peel(repo->source, &oid);
    return oid_is_zero(ret) ? -ENOENT : 0;
}

static int nth_parent(struct repo *repo, unsigned long n, struct oid *oid)
{
    _cleanup_(revision_freep) struct revision *rev = NULL;
    int r = revision_load(repo, oid, &rev);

    if (r < 0 || n == 0)
        return r;
    if (n > rev->nparents)
        return -ENOENT;
    *oid = rev->parents[n - 1];
    return 0;
}

static int nth_ancestor(struct repo *repo, unsigned long n, struct oid *oid)
{
    struct revision_brief brief;
    int r = 0;

    for (; r == 0 && n; n--) {
        r = revision_brief(repo, oid, &brief);
        if (r == 0 && oid_is_zero(&brief.parent))
            r = -ENOENT;
        if (r == 0)
            *oid = brief.parent;
    }
    return r;
}

/* One of "~", "~3", "^", "^2", "^{}", "^{commit}" at *at. */
static int take_step(struct repo *repo, const char **at, struct oid *oid)
{
    static const char *const nothing[] = {"{}", "{commit}"}; /* it is one already */
    char op = *(*at)++;
    char *end;

    for (size_t i = 0; op == '^' && i < ARRAY_SIZE(nothing); i++)
        if (!strncmp(*at, nothing[i], strlen(nothing[i]))) {
            *at += strlen(nothing[i]);
            return 0;
        }
    unsigned long n = 1;
    if (isdigit((unsigned char)**at)) {
        n = strtoul(*at, &end, 10);
        *at = end;
    }
    if (op == '~')
        return nth_ancestor(repo, n, oid);
    return op == '^' ? nth_parent(repo, n, oid) : -ENOENT;
}

int revision_resolve(struct repo *repo, const char *expr, struct oid *ret)
{
    size_t len = strcspn(expr, "~^");
    _cleanup_free_ char *name = xstrndup(expr, len);
    struct oid oid;

    if (!len || strlen(expr) > EXPR_MOST)
        return -ENOENT;
    int r = resolve_name(repo, name, &oid);
    for (const char *at = expr + len; r == 0 && *at;)
        r = take_step(repo, &at, &oid);
    /* The last step may have led out of a shallow clone. */
    if (r == 0)
        r = revision_brief(repo, &oid, &(struct revision_brief){0});
    if (r == 0)
        *ret = oid;
    return r;
}

/* Adds "key name <email> time offset\n". Git ends a name at '<' and a line at '\n', so they cannot
 * be in one. -EINVAL if nothing is left of the name. */
static int add_signature(struct buf *out, const char *key, const struct signature *s)
{
    const char *p, *parts[2] = {s->name, s->email};
    int offset = s->offset < 0 ? -s->offset : s->offset;
    size_t before;

    buf_addf(out, "%s ", key);
    before = out->len;
    for (int i = 0; i < 2; i++) {
        if (i == 1 && out->len == before)
            return -EINVAL;
        if (i == 1)
            buf_adds(out, " <");
        for (p = parts[i]; *p; p++)
            if (*p != '<' && *p != '>' && *p != '\n')
                buf_addc(out, *p);
    }
    buf_addf(out, "> %" PRId64 " %c%02d%02d\n", s->time, s->offset < 0 ? '-' : '+', offset / 60,
             offset % 60);
    return 0;
}

static int check_type(struct repo *repo, const struct oid *oid, git_object_t type,
                      struct diag *reterr)
{
    char hex[OID_HEX + 1];
    git_object_t real;
    uint64_t size;

    int r = source_header(repo->source, oid, &real, &size);
    if (r == 0 && real == type)
        return 0;
    if (r < 0 && r != -ENOENT)
        return diag_fail(reterr, r, "cannot read %s: %s", oid_hex(oid, hex), strerror(-r));
    return diag_fail(reterr, -EINVAL, "there is no %s %s", git_object_type2string(type),
                     oid_hex(oid, hex));
}

static int encode(const struct revision *draft, struct buf *raw, struct diag *reterr)
{
    char hex[OID_HEX + 1];

    buf_addf(raw, "tree %s\n", oid_hex(&draft->tree, hex));
    for (size_t i = 0; i < draft->nparents; i++)
        buf_addf(raw, "parent %s\n", oid_hex(&draft->parents[i], hex));
    if (add_signature(raw, "author", &draft->author) < 0 ||
        add_signature(raw, "committer", &draft->committer) < 0)
        return diag_fail(reterr, -EINVAL, "author and committer must have a name");
    buf_addf(raw, "\n%s", draft->message);
    return 0;
}

int revision_put(struct sink *sink, const struct revision *draft, struct oid *ret,
                 struct diag *reterr)
{
    _cleanup_(buf_done) struct buf raw = {0};
    int r = encode(draft, &raw, reterr);

    return r < 0 ? r : sink->ops->put(sink, SINK_COMMIT, raw.data, raw.len, ret, reterr);
}

int revision_write(struct batch *batch, const struct revision *draft, struct oid *ret,
                   struct diag *reterr)
{
    struct repo *repo = batch_repo(batch);
    struct oid oid;
    int r = check_type(repo, &draft->tree, GIT_OBJECT_TREE, reterr);

    for (size_t i = 0; r == 0 && i < draft->nparents; i++)
        r = check_type(repo, &draft->parents[i], GIT_OBJECT_COMMIT, reterr);
    if (r == 0)
        r = revision_put(batch_sink(batch), draft, &oid, reterr);
    if (r == 0)
        r = batch_store(batch, reterr);
    if (r == 0)
        *ret = oid;
    return r;
}
