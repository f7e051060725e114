/* The simulator: runs deploy/plan.c in made-up worlds and checks its invariants after every
 * decision.
 *
 *     simulate [--first SEED] [--seeds N] [--steps N] [--trace]
 *
 * Prints TAP. A violation names the invariant, the site and the seed, with which it can be
 * repeated. */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "world.h"

struct options {
    uint64_t first, seeds;
    long steps;
    bool trace;
};

static int usage(void)
{
    fputs("usage: simulate [--first SEED] [--seeds N] [--steps N] [--trace]\n", stderr);
    return 2;
}

static int parse(int argc, char **argv, struct options *o)
{
    static const struct option known[] = {{"first", required_argument, NULL, 'f'},
                                          {"seeds", required_argument, NULL, 's'},
                                          {"steps", required_argument, NULL, 'n'},
                                          {"trace", no_argument, NULL, 't'},
                                          {0}};

    for (int c; (c = getopt_long(argc, argv, "", known, NULL)) != -1;) {
        switch (c) {
        case 'f':
            o->first = strtoull(optarg, NULL, 10);
            break;
        case 's':
            o->seeds = strtoull(optarg, NULL, 10);
            break;
        case 'n':
            o->steps = strtol(optarg, NULL, 10);
            break;
        case 't':
            o->trace = true;
            break;
        default:
            return -1;
        }
    }
    return optind == argc ? 0 : -1;
}

/* One world from its beginning to its end; returns the digest of what was decided. */
static uint64_t simulate(uint64_t seed, const struct options *o, long *starts)
{
    struct world w;

    world_init(&w, seed, o->trace);
    for (long i = 0; i < o->steps; i++)
        world_step(&w);
    world_settle(&w);
    *starts += w.starts;
    world_done(&w);
    return w.digest;
}

int main(int argc, char **argv)
{
    struct options o = {.first = 1, .seeds = 500, .steps = 300};
    long starts = 0, again = 0;

    if (parse(argc, argv, &o) < 0)
        return usage();
    puts("1..2");
    for (uint64_t seed = o.first; seed < o.first + o.seeds; seed++) {
        uint64_t digest = simulate(seed, &o, &starts);
        if (seed % 20 == 0 && simulate(seed, &o, &again) != digest) {
            printf("not ok 2 - the same seed gives the same run\n# seed %" PRIu64 "\n", seed);
            return 1;
        }
    }
    printf("ok 1 - every invariant held\nok 2 - the same seed gives the same run\n");
    printf("# %" PRIu64 " worlds, %ld attempts\n", o.seeds, starts);
    return 0;
}
