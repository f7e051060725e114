#include "stage/overlay_news.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

void overlay_news_add(struct overlay_node *n)
{
    struct workspace *ws = n->ws;

    if (__atomic_load_n(&n->listed, __ATOMIC_ACQUIRE))
        return;
    pthread_mutex_lock(&ws->known);
    if (!n->listed) {
        n->next = ws->nodes;
        n->prev = NULL;
        if (n->next)
            n->next->prev = n;
        ws->nodes = n;
        __atomic_store_n(&n->listed, true, __ATOMIC_RELEASE);
    }
    pthread_mutex_unlock(&ws->known);
}

void overlay_news_drop(struct overlay_node *n)
{
    struct workspace *ws = n->ws;

    pthread_mutex_lock(&ws->known);
    if (n->listed) {
        *(n->prev ? &n->prev->next : &ws->nodes) = n->next;
        if (n->next)
            n->next->prev = n->prev;
    }
    pthread_mutex_unlock(&ws->known);
}

/* Of those whose place is about to turn out to be another's, too: M2 sees to that. */
void overlay_news_keep_numbers(struct workspace *ws)
{
    struct numbers *numbers = &ws->overlay.numbers;

    pthread_mutex_lock(&ws->known);
    for (struct overlay_node *n = ws->nodes; n; n = n->next)
        if (n->name && !n->gone && !n->stale)
            numbers_keep(numbers, numbers_place(n->node.parent->ino, n->name), n->at.type,
                         n->node.ino);
    pthread_mutex_unlock(&ws->known);
}

/* References to nodes, and what is to be told of them. */
struct news {
    struct {
        VEC(struct overlay_node *);
    } nodes;
    struct {
        VEC(struct node_change);
    } changes;
};

static void news_done(struct news *news)
{
    vec_foreach (c, &news->changes)
        free((char *)c->name);
    vec_foreach (n, &news->nodes)
        node_unref(&(*n)->node);
    free(news->changes.v);
    free(news->nodes.v);
}

static void collect(struct workspace *ws, struct news *news)
{
    pthread_mutex_lock(&ws->known);
    for (struct overlay_node *n = ws->nodes; n; n = n->next)
        if (node_ref_living(&n->node))
            *VEC_ADD(&news->nodes) = n;
    pthread_mutex_unlock(&ws->known);
}

static void add_change(struct news *news, struct overlay_node *n, bool names)
{
    bool lost = false, content = S_ISDIR(n->at.type);

    workspace_lock_read(n->ws);
    if (overlay_node_sync(n) < 0)
        lost = content = true;
    content |= atomic_exchange(&n->news_content, false);
    lost |= atomic_exchange(&n->news_name, false);
    *VEC_ADD(&news->changes) = (struct node_change){&n->node, NULL, content};
    if (names && lost && n->name)
        *VEC_ADD(&news->changes) = (struct node_change){n->node.parent, xstrdup(n->name), false};
    workspace_unlock_read(n->ws);
}

static void tell(struct workspace *ws, bool names)
{
    _cleanup_(news_done) struct news news = {0};

    collect(ws, &news);
    vec_foreach (n, &news.nodes)
        add_change(&news, *n, names);
    node_changes(ws->env->config->table, news.changes.v, news.changes.n);
}

void overlay_news_moved(struct workspace *ws)
{
    tell(ws, true);
}

void overlay_news_ended(struct workspace *ws)
{
    tell(ws, false);
}
