#include "mount/scratch.h"

#include <pthread.h>
#include <stdlib.h>

static pthread_key_t key; /* frees a thread's buffer when it ends */
static pthread_once_t once = PTHREAD_ONCE_INIT;
static _Thread_local struct {
    void *data;
    size_t size;
} own;

static void make_key(void)
{
    pthread_key_create(&key, free);
}

void *scratch(size_t size)
{
    if (size <= own.size)
        return own.data;
    pthread_once(&once, make_key);
    void *grown = malloc(size); /* what is in the old one is of no use any more */
    if (!grown)
        return NULL;
    free(own.data);
    own.data = grown;
    own.size = size;
    pthread_setspecific(key, grown);
    return grown;
}
