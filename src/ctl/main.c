/* onward: the operator's command line. Parses, finds the mount, runs the verb. */
#include <errno.h>
#include <getopt.h>
#include <string.h>

#include "ctl/verb.h"

enum { VERSION_ANSWER = 256 };

static int help_for(const char *name)
{
    _cleanup_(buf_done) struct buf text = {0};
    const struct verb *v = name ? verb_find(name) : NULL;

    if (name && !v) {
        fprintf(stderr, "onward: there is no verb \"%s\"; see `onward --help`\n", name);
        return VERB_USAGE;
    }
    if (v)
        verb_help(v, &text);
    else
        verbs_help(&text);
    fputs(buf_str(&text), stdout);
    return VERB_YES;
}

static int usage(const struct verb *v, const struct diag *why)
{
    _cleanup_(buf_done) struct buf line = {0};

    verb_usage(v, &line);
    fprintf(stderr, "onward: %s\nUsage: %s\n", diag_text(why, -EINVAL), line.data);
    return VERB_USAGE;
}

/* The exit status for what a verb returned, with its reason said. */
static int conclude(const struct verb *v, int r, const struct diag *why)
{
    if (fflush(stdout) != 0 || ferror(stdout)) {
        fprintf(stderr, "onward: cannot write the output: %s\n", strerrordesc_np(errno));
        return VERB_NO;
    }
    if (r == VERB_USAGE)
        return usage(v, why);
    if (r < 0)
        fprintf(stderr, "onward: %s\n", diag_text(why, r));
    return r < 0 ? VERB_NO : r;
}

static int run(const char *dir, int argc, char **argv)
{
    _cleanup_(diag_done) struct diag why = {0};
    _cleanup_(mountpoint_close) struct mountpoint mount = {.fd = -1};
    const struct verb *v = verb_find(argv[0]);

    if (!v)
        return help_for(argv[0]);
    struct call call = {.mount = &mount, .out = stdout, .paint = paint_for(stdout)};
    int r = args_parse(v, argc, argv, &call, &why);
    if (r == ARGS_HELP)
        return help_for(v->name);
    if (r == VERB_YES)
        r = mountpoint_open(dir, &mount, &why);
    if (r == VERB_YES)
        r = v->run(&call, &why);
    return conclude(v, r, &why);
}

int main(int argc, char **argv)
{
    static const struct option longs[] = {
        {"help", no_argument, NULL, 'h'},
        {"version", no_argument, NULL, VERSION_ANSWER},
        {0},
    };
    const char *dir = NULL;

    for (int c; (c = getopt_long(argc, argv, "+C:h", longs, NULL)) != -1;) {
        if (c == 'C')
            dir = optarg;
        else if (c == 'h')
            return help_for(NULL);
        else if (c == VERSION_ANSWER)
            return puts("onward " ONWARD_VERSION) < 0;
        else
            return VERB_USAGE;
    }
    if (optind == argc) {
        fputs("onward: which verb? see `onward --help`\n", stderr);
        return VERB_USAGE;
    }
    if (!strcmp(argv[optind], "help"))
        return help_for(argv[optind + 1]);
    return run(dir, argc - optind, argv + optind);
}
