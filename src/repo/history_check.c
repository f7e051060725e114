#include "repo/history_check.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/cleanup.h"
#include "repo/history_record.h"

/* The layout of a file of LMDB 0.9 on a 64-bit machine, in its own byte order. Pages 0 and 1 are
 * metas, written in turn; each names the roots of two trees: free pages and databases by name. */
#define MAGIC      0xBEEFC0DEu
#define FORMAT     1
#define NO_PAGE    UINT64_MAX
#define INTEGERKEY 0x08
#define KEY_MOST   511
#define DEEPEST    32 /* of LMDB's cursors */

enum { PAGE_BRANCH = 1, PAGE_LEAF = 2, PAGE_OVERFLOW = 4, PAGE_META = 8 };
enum { NODE_BIG = 1, NODE_TREE = 2 };

struct page_head {
    uint64_t number;
    uint16_t pad, flags, lower, upper; /* of overflow pages, the last two are their count */
};

struct node_head {
    uint16_t low, high, flags, nkey;
};

struct tree_head {
    uint32_t pad;
    uint16_t flags, depth;
    uint64_t branches, leaves, overflows, entries, root;
};

struct meta {
    uint32_t magic, format;
    uint64_t address, map_size;
    struct tree_head free, main;
    uint64_t last_page, txn;
};

enum { FREE_TREE = HISTORY_DBS, MAIN_TREE };

/* A tree that is being walked. */
struct walk {
    int db; /* enum history_db, FREE_TREE or MAIN_TREE */
    const struct tree_head *head;
    struct tree_head seen; /* what was counted */
    unsigned char last[KEY_MOST];
    size_t nlast;
    bool any, last_is_leaf; /* there is a `last`, and it is a key, not a separator */
};

struct check {
    int fd;
    size_t page_size;
    struct meta meta;
    unsigned char *used; /* a bit for each page: it belongs to a tree or to the free ones */
    const char *wrong;   /* the first thing found, */
    uint64_t where;      /* and its page */
};

struct page {
    uint64_t number;
    struct page_head head;
    size_t n; /* nodes */
    unsigned char *data;
};

struct node {
    struct bytes key, value;
    uint16_t flags;
    uint64_t child; /* in a branch */
};

static int wrong(struct check *c, uint64_t page, const char *what)
{
    if (!c->wrong) {
        c->wrong = what;
        c->where = page;
    }
    return -EUCLEAN;
}

/* Notes that a page is taken. */
static int take(struct check *c, uint64_t number)
{
    if (number < 2 || number > c->meta.last_page)
        return wrong(c, number, "there is no such page");
    if (c->used[number / 8] & 1 << number % 8)
        return wrong(c, number, "page is used twice");
    c->used[number / 8] |= 1 << number % 8;
    return 0;
}

static int read_at(struct check *c, uint64_t number, size_t pages, unsigned char *data)
{
    ssize_t n = pread(c->fd, data, pages * c->page_size, number * c->page_size);

    if (n < 0)
        return errno == EIO ? wrong(c, number, "page cannot be read") : -errno;
    return (size_t)n == pages * c->page_size ? 0 : wrong(c, number, "file is too short");
}

/* ---- pages and nodes ---- */

static uint16_t pointer(const struct page *p, size_t i)
{
    uint16_t at;

    memcpy(&at, p->data + sizeof(struct page_head) + 2 * i, sizeof(at));
    return at;
}

static int load_page(struct check *c, struct page *p, uint16_t flags)
{
    int r = take(c, p->number);

    if (r == 0)
        r = read_at(c, p->number, 1, p->data);
    if (r < 0)
        return r;
    memcpy(&p->head, p->data, sizeof(p->head));
    const struct page_head *h = &p->head;
    if (h->number != p->number || h->flags != flags)
        return wrong(c, p->number, "not the page that it should be");
    if (h->lower < sizeof(*h) || h->lower % 2 || h->lower > h->upper || h->upper > c->page_size)
        return wrong(c, p->number, "no room for its nodes");
    p->n = (h->lower - sizeof(*h)) / 2;
    return 0;
}

/* The node `i`, if it lies within the page; its size is added to `*size`. */
static int load_node(struct check *c, const struct page *p, size_t i, struct node *ret,
                     size_t *size)
{
    size_t at = pointer(p, i), nvalue = 0;
    struct node_head h;

    if (at < p->head.upper || at % 2 || at + sizeof(h) > c->page_size)
        return wrong(c, p->number, "node is outside");
    memcpy(&h, p->data + at, sizeof(h));
    if (p->head.flags == PAGE_LEAF)
        nvalue = h.flags & NODE_BIG ? sizeof(uint64_t) : h.low | (size_t)h.high << 16;
    size_t length = sizeof(h) + h.nkey + nvalue;
    if (at + length > c->page_size || h.nkey > KEY_MOST)
        return wrong(c, p->number, "node is too long");
    ret->key = (struct bytes){p->data + at + sizeof(h), h.nkey};
    ret->value = (struct bytes){ret->key.data + h.nkey, nvalue};
    ret->flags = h.flags;
    ret->child = h.low | (uint64_t)h.high << 16 | (uint64_t)h.flags << 32;
    *size += length + length % 2;
    return 0;
}

static int compare_keys(const struct walk *w, struct bytes key)
{
    uint64_t a, b;

    if (w->db == FREE_TREE && key.n == sizeof(a) && w->nlast == sizeof(b)) {
        memcpy(&a, key.data, sizeof(a));
        memcpy(&b, w->last, sizeof(b));
        return a < b ? -1 : a > b;
    }
    int order = memcmp(key.data, w->last, key.n < w->nlast ? key.n : w->nlast);
    return order ? order : key.n < w->nlast ? -1 : key.n > w->nlast;
}

/* Keys and separators come by in order: a separator is above all keys before it, and no key behind
 * it is below it. */
static int in_order(struct check *c, struct walk *w, uint64_t page, struct bytes key, bool leaf)
{
    if (w->any) {
        int order = compare_keys(w, key);
        if (order < 0 || (order == 0 && w->last_is_leaf))
            return wrong(c, page, "keys are out of order");
    }
    memcpy(w->last, key.data, key.n);
    w->nlast = key.n;
    w->any = true;
    w->last_is_leaf = leaf;
    return 0;
}

/* ---- trees ---- */

static int walk_tree(struct check *c, int db, const struct tree_head *head);

/* A list of free pages: how many, and their numbers, falling. */
static int check_free(struct check *c, uint64_t page, const unsigned char *list, size_t size)
{
    uint64_t n, number, last = UINT64_MAX;
    int r = 0;

    if (size < sizeof(n))
        return wrong(c, page, "list of free pages is too short");
    memcpy(&n, list, sizeof(n));
    if (n > size / sizeof(n) - 1)
        return wrong(c, page, "list of free pages is too long");
    for (uint64_t i = 1; r == 0 && i <= n; i++, last = number) {
        memcpy(&number, list + i * sizeof(number), sizeof(number));
        if (number >= last)
            return wrong(c, page, "free pages are out of order");
        r = take(c, number);
    }
    return r;
}

/* A list that has pages of its own. */
static int check_big_free(struct check *c, struct walk *w, uint64_t page, const struct node *node)
{
    _cleanup_free_ unsigned char *data = NULL;
    struct page_head h;
    uint64_t number;

    memcpy(&number, node->value.data, sizeof(number));
    size_t size = node->child & UINT32_MAX, pages = (size + sizeof(h) - 1) / c->page_size + 1;
    if (number < 2 || pages > c->meta.last_page || number > c->meta.last_page - pages + 1)
        return wrong(c, page, "list of free pages is outside");
    int r = 0;
    for (size_t i = 0; r == 0 && i < pages; i++)
        r = take(c, number + i);
    data = xmalloc(pages * c->page_size);
    if (r == 0)
        r = read_at(c, number, pages, data);
    if (r < 0)
        return r;
    memcpy(&h, data, sizeof(h));
    if (h.number != number || h.flags != PAGE_OVERFLOW ||
        (h.lower | (uint32_t)h.upper << 16) != pages)
        return wrong(c, number, "not the page that it should be");
    w->seen.overflows += pages;
    return check_free(c, number, data + sizeof(h), size);
}

/* A database by name, in the main tree. */
static int check_named(struct check *c, uint64_t page, const struct node *node)
{
    struct tree_head head;

    if (node->flags != NODE_TREE || node->value.n != sizeof(head))
        return wrong(c, page, "not a database");
    memcpy(&head, node->value.data, sizeof(head));
    int db = history_db_of(node->key);
    if (db < 0 || head.flags)
        return wrong(c, page, "not a database of ours");
    return walk_tree(c, db, &head);
}

static int check_leaf(struct check *c, struct walk *w, uint64_t page, const struct node *node)
{
    int r = in_order(c, w, page, node->key, true);

    if (r < 0)
        return r;
    w->seen.entries++;
    if (w->db == MAIN_TREE)
        return check_named(c, page, node);
    if (w->db == FREE_TREE && node->flags == NODE_BIG && node->key.n == sizeof(uint64_t))
        return check_big_free(c, w, page, node);
    if (node->flags)
        return wrong(c, page, "not a record");
    if (w->db == FREE_TREE)
        return check_free(c, page, node->value.data, node->value.n);
    return record_valid(w->db, node->key, node->value) ? 0 : wrong(c, page, "record is damaged");
}

static int walk_page(struct check *c, struct walk *w, uint64_t number, int depth)
{
    bool leaf = depth == w->head->depth;
    _cleanup_free_ unsigned char *data = xmalloc(c->page_size);
    struct page page = {.number = number, .data = data};
    struct node node;
    size_t size = 0;
    int r = load_page(c, &page, leaf ? PAGE_LEAF : PAGE_BRANCH);

    *(leaf ? &w->seen.leaves : &w->seen.branches) += 1;
    /* LMDB gives up on pages with fewer, but for its own free ones. */
    if (r == 0 && w->db != FREE_TREE && page.n < (leaf ? 1 : 2))
        r = wrong(c, number, "page is empty");
    for (size_t i = 0; r == 0 && i < page.n; i++) {
        r = load_node(c, &page, i, &node, &size);
        if (r == 0 && leaf)
            r = check_leaf(c, w, number, &node);
        else if (r == 0 && i > 0) /* the first has no separator before it */
            r = in_order(c, w, number, node.key, false);
        if (r == 0 && !leaf)
            r = walk_page(c, w, node.child, depth + 1);
    }
    if (r == 0 && size != c->page_size - page.head.upper)
        r = wrong(c, number, "nodes do not fill their room");
    return r;
}

static int walk_tree(struct check *c, int db, const struct tree_head *head)
{
    struct walk w = {.db = db, .head = head};

    if (head->depth > DEEPEST || (head->root == NO_PAGE) != (head->depth == 0))
        return wrong(c, head->root, "tree has no root");
    int r = head->depth ? walk_page(c, &w, head->root, 1) : 0;
    if (r < 0)
        return r;
    if (w.seen.branches != head->branches || w.seen.leaves != head->leaves ||
        w.seen.overflows != head->overflows || w.seen.entries != head->entries)
        return wrong(c, head->root, "tree is not as large as it should be");
    return 0;
}

/* ---- the file ---- */

static int read_meta(struct check *c, unsigned i, struct meta *ret)
{
    unsigned char data[sizeof(struct page_head) + sizeof(struct meta)];
    struct page_head h;

    if (pread(c->fd, data, sizeof(data), i * c->page_size) != sizeof(data))
        return wrong(c, i, "file is too short");
    memcpy(&h, data, sizeof(h));
    memcpy(ret, data + sizeof(h), sizeof(*ret));
    if (h.number != i || h.flags != PAGE_META || ret->magic != MAGIC || ret->format != FORMAT)
        return wrong(c, i, "not a meta page");
    size_t size = ret->free.pad; /* LMDB keeps the page size and its flags in fields to spare */
    if (size < 512 || size > 65536 || size & (size - 1) || ret->free.flags != INTEGERKEY ||
        ret->main.flags || ret->last_page < 1)
        return wrong(c, i, "meta page says what cannot be");
    return 0;
}

/* Transaction n writes meta n % 2; a new file has n = 0 in both. */
static int read_metas(struct check *c)
{
    struct meta metas[2];
    int r = read_meta(c, 0, &metas[0]);

    if (r < 0)
        return r;
    c->page_size = metas[0].free.pad;
    r = read_meta(c, 1, &metas[1]);
    if (r < 0)
        return r;
    uint64_t a = metas[0].txn, b = metas[1].txn;
    if (metas[1].free.pad != c->page_size || a % 2 || (b % 2 != 1 && (a || b)) ||
        (a > b ? a - b : b - a) > 1)
        return wrong(c, 0, "meta pages do not go together");
    c->meta = metas[b > a];
    return 0;
}

static int check_file(struct check *c, uint64_t size)
{
    int r = read_metas(c);

    if (r < 0)
        return r;
    /* The last pages may be free ones that were never written, but not many times the file. */
    if (c->meta.last_page / 16 > size / c->page_size + 4096)
        return wrong(c, 0, "file is too short");
    c->used = xcalloc(c->meta.last_page / 8 + 1, 1);
    r = walk_tree(c, MAIN_TREE, &c->meta.main);
    return r < 0 ? r : walk_tree(c, FREE_TREE, &c->meta.free);
}

int history_check(const char *path, struct diag *reterr)
{
    _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct check c = {.fd = fd};
    struct stat st;

    if (fd < 0 && errno == ENOENT)
        return 0;
    if (fd < 0 || fstat(fd, &st) < 0)
        return diag_fail(reterr, -errno, "%s: %s", path, strerror(errno));
    if (st.st_size == 0)
        return 0;
    int r = check_file(&c, st.st_size);
    free(c.used);
    if (r == -EUCLEAN)
        return diag_fail(reterr, r, "%s, page %llu: %s", path, (unsigned long long)c.where,
                         c.wrong);
    return r < 0 ? diag_fail(reterr, r, "%s: %s", path, strerror(-r)) : 0;
}
