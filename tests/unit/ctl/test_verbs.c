/* Every verb over a directory that looks like a mount: what it prints, what it writes, what it
 * returns. That the daemon's files look like these is for the tests on a real mount. */
#include "ctl/verb.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>

#include "testlib.h"

#define A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"

struct fixture {
    char *dir;
    struct mountpoint mount;
    char *out, *why; /* of the last call */
};

static const char layout[] =
    "mkdir -p .onward sites/s1/history/1 sites/s1/history/2 sites/s2/history staging revisions/" A
    "/stores/s1 revisions/" B "/stores/s1 branches/feature tags commits/" B "\n"
    "cat >fleet <<END\n"
    "# onward.yaml is wrong\n"
    "SITE  TEAM    STATE    DEPLOYED      DESIRED       SINCE\n"
    "s1    retail  pending  aaaaaaaaaaaa  bbbbbbbbbbbb  2026-11-23T04:40:00Z\n"
    "s2    retail  unknown  -             -             -\n"
    "END\n"
    "ln -s ../../revisions/" A "/stores/s1 sites/s1/deployed\n"
    "ln -s ../../revisions/" B "/stores/s1 sites/s1/desired\n"
    "echo '{\"site\":\"s1\",\"state\":\"pending\",\"include\":[\"base\"]}' >sites/s1/status.json\n"
    "echo '{\"site\":\"s2\",\"state\":\"unknown\"}' >sites/s2/status.json\n"
    "printf 'site: s1\\nstate: pending\\n' >sites/s1/status\n"
    "echo "
    "'{\"site\":\"\",\"generation\":0,\"kind\":\"paused\",\"by\":\"bob\",\"message\":"
    "\"stocktaking\","
    "\"at\":\"2026-11-22T20:00:00.000Z\"}' >.onward/orders\n"
    "echo '{\"site\":\"s1\",\"generation\":1,\"kind\":\"deployed\",\"to\":\"" A "\",\"from\":null,"
    "\"at\":\"2026-11-22T04:40:00.000Z\",\"duration_ms\":1500,\"by\":\"ann\"}' >"
    "sites/s1/history/1/records\n"
    "sed 's/deployed/held/; s/ann/eve/' sites/s1/history/1/records >held\n"
    "sed 's/deployed/attempt/' sites/s1/history/1/records >attempt\n"
    "cat held attempt >>sites/s1/history/1/records\n"
    "echo '{\"site\":\"s1\",\"generation\":2,\"kind\":\"failed\",\"to\":\"" B "\",\"from\":\"" A
    "\","
    "\"at\":\"2026-11-23T04:40:00.000Z\",\"message\":\"no route\",\"by\":\"ann\"}' >"
    "sites/s1/history/2/records\n"
    "mkdir revisions/" A "/base revisions/" B "/base\n"
    "echo one >revisions/" A "/stores/s1/pos.yaml; echo two >revisions/" B "/stores/s1/pos.yaml\n"
    "echo 1 >revisions/" A "/base/dns; echo 2 >revisions/" B "/base/dns\n"
    "ln -s " B " revisions/main; ln -s " A " revisions/HEAD~1\n"
    "ln -s ../../revisions/" A " branches/feature/x\n"
    "cd commits/" B "\n"
    "echo 'Ann Lee <ann@example.org>' | tee author >committer; echo 2026-11-23T04:40:00Z >date\n"
    "printf 'Raise the limit\\n\\nBecause.\\n' >message; echo 'M stores/s1/pos.yaml' >changes\n"
    "printf 'diff --git a/x b/x\\n@@ -1 +1 @@\\n-one\\n+two\\n' >patch\n";

static int set_up(void **state)
{
    struct fixture *f = NEW(struct fixture);

    f->dir = test_dir_new();
    test_run(f->dir, "%s", layout);
    f->mount = (struct mountpoint){.path = f->dir, .fd = open(f->dir, O_RDONLY | O_DIRECTORY)};
    *state = f;
    return 0;
}

static void forget(struct fixture *f)
{
    free(f->out);
    free(f->why);
    f->out = f->why = NULL;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    forget(f);
    closep(&f->mount.fd);
    test_dir_free(f->dir);
    free(f);
    return 0;
}

/* Runs "VERB WORD…" (blanks separate words) and returns what the verb does. */
static int run(struct fixture *f, const char *line)
{
    char *words[16] = {0}, *rest = xstrdup(line), *mine = rest;
    struct diag why = {0};
    size_t len;
    int n = 0;

    forget(f);
    struct call call = {.mount = &f->mount, .out = open_memstream(&f->out, &len)};
    for (char *word; (word = strsep(&rest, " "));)
        words[n++] = word;
    const struct verb *v = verb_find(words[0]);
    int r = args_parse(v, n, words, &call, &why);
    if (r == VERB_YES)
        r = v->run(&call, &why);
    fclose(call.out);
    f->why = why.text;
    free(mine);
    return r;
}

static json_t *json_of(struct fixture *f)
{
    json_t *j = NULL;

    assert_int_equal(json_read(f->out, strlen(f->out), &j, NULL), 0);
    return j;
}

static void assert_has(const char *text, const char *part)
{
    if (!text || !strstr(text, part))
        fail_msg("\"%s\" is not in \"%s\"", part, text ? text : "");
}

static void test_status_verb(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(run(f, "status"), 0);
    assert_int_equal(strncmp(f->out, "# onward.yaml is wrong\n", 23), 0);
    assert_has(f->out,
               "\ns1    retail  pending  aaaaaaaaaaaa  bbbbbbbbbbbb  2026-11-23T04:40:00Z\n");
    assert_int_equal(run(f, "status s1"), 0);
    assert_string_equal(f->out, "site: s1\nstate: pending\n");
    assert_int_equal(run(f, "status s9"), -ENOENT);
    assert_has(f->why, "no site \"s9\"");
    assert_int_equal(run(f, "status ../sites/s1"), -ENOENT);
    test_run(f->dir, "mkdir sites/leaving");
    assert_int_equal(run(f, "status --json"), 0);
    json_t *j = json_of(f);
    assert_int_equal(json_array_size(j), 2);
    assert_string_equal(json_str(json_array_get(j, 1), "site", ""), "s2");
    json_decref(j);
}

static void test_log_is_newest_first(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(run(f, "log"), 0);
    const char *second = strstr(f->out, "failed"), *first = strstr(f->out, "deployed");
    assert_true(second && first && second < first);
    assert_has(f->out, "aaaaaaaaaaaa -> bbbbbbbbbbbb");
    assert_has(f->out, "1s500ms");
    assert_has(f->out, "no route\n");
    const char *paused = strstr(f->out, "-     -           paused"),
               *held = strstr(f->out, " held ");
    assert_true(paused && held && second < paused && paused < first && first < held);
    assert_has(f->out, "bob  stocktaking\n");
    assert_null(strstr(f->out, "attempt"));
    assert_int_equal(run(f, "log s1"), 0);
    assert_null(strstr(f->out, "paused"));
    assert_int_equal(run(f, "log s2"), 0);
    assert_string_equal(f->out, "nothing was deployed yet\n");
    assert_int_equal(run(f, "log s9"), -ENOENT);
    assert_int_equal(run(f, "log s1 --json"), 0);
    json_t *j = json_of(f);
    assert_int_equal(json_int(json_array_get(j, 0), "generation", 0), 2);
    json_decref(j);
}

/* The history of stores/s1/pos.yaml: came, changed, vanished, is a symlink now. */
static const char versions[] =
    "mkdir -p history/stores/s1/pos.yaml history/stores/0001-2026-11-20-aaaaaaaaaaaa && "
    "n=1; for c in a b c d; do\n"
    "id=$(printf '%40s' | tr ' ' $c); mkdir -p revisions/$id/stores/s1 commits/$id\n"
    "ln -s ../../../../revisions/$id/stores/s1/pos.yaml history/stores/s1/pos.yaml/"
    "$(printf %04d $n)-2026-11-2$n-$(printf '%12s' | tr ' ' $c)\n"
    "echo \"$c Lee <$c@example.org>\" >commits/$id/author\n"
    "echo 2026-11-2${n}T04:40:00Z >commits/$id/date\n"
    "printf \"Version $n\\n\\nBecause.\\n\" >commits/$id/message\n"
    "n=$((n + 1)); done\n"
    "ln -s nowhere revisions/$id/stores/s1/pos.yaml\n"
    "ln -s ../../../revisions/" A "/stores history/stores/0002-2026-11-21-aaaaaaaaaaaa\n";

static void test_log_of_a_path(void **state)
{
    struct fixture *f = *state;

    test_run(f->dir, "%s", versions);
    assert_int_equal(run(f, "log -- stores/s1/pos.yaml"), 0);
    assert_string_equal(f->out, "AT                    REVISION      CHANGE  AUTHOR  SUBJECT\n"
                                "2026-11-24T04:40:00Z  dddddddddddd  A       d Lee   Version 4\n"
                                "2026-11-23T04:40:00Z  cccccccccccc  D       c Lee   Version 3\n"
                                "2026-11-22T04:40:00Z  bbbbbbbbbbbb  M       b Lee   Version 2\n"
                                "2026-11-21T04:40:00Z  aaaaaaaaaaaa  A       a Lee   Version 1\n");
    assert_int_equal(run(f, "log -n 1 --json -- stores/../stores/s1/./pos.yaml"), 0);
    json_t *j = json_of(f), *one = json_array_get(j, 0);
    assert_int_equal(json_array_size(j), 1);
    assert_int_equal(json_int(one, "version", 0), 4);
    assert_string_equal(json_str(one, "author", ""), "d Lee <d@example.org>");
    assert_string_equal(json_str(one, "message", ""), "Version 4\n\nBecause.");
    assert_string_equal(json_str(one, "change", ""), "A");
    json_decref(j);
    /* The version before one that is left out still tells what the last one is. */
    test_run(f->dir, "cd revisions; cp -P d*/stores/s1/pos.yaml c*/stores/s1/");
    assert_int_equal(run(f, "log -n 2 -- stores/s1/pos.yaml"), 0);
    assert_has(f->out, "dddddddddddd  M ");
    assert_has(f->out, "cccccccccccc  T ");
    assert_null(strstr(f->out, "bbbbbbbbbbbb"));
    /* A name in the directory that looks like a version is none. */
    assert_int_equal(run(f, "log --json -- stores"), 0);
    j = json_of(f);
    assert_int_equal(json_array_size(j), 1);
    json_decref(j);
}

static void test_log_of_a_path_that_there_is_not(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(run(f, "log -- stores"), -ENOENT);
    assert_has(f->why, "no history/");
    test_run(f->dir, "%s", versions);
    assert_int_equal(run(f, "log -- stores/s9"), -ENOENT);
    assert_has(f->why, "stores/s9 never was on the mainline");
    assert_int_equal(run(f, "log -- stores/.."), -EINVAL);
    assert_has(f->why, "every revision");
    assert_int_equal(run(f, "log -- ../x"), -EINVAL);
    assert_has(f->why, "outside");
}

static void history_state(struct fixture *f, const char *json)
{
    _cleanup_free_ char *text =
        xasprintf("{\"host\":\"h\"%s%s}", *json ? ",\"history\":" : "", json);

    test_write_file(f->dir, ".onward/status.json", text);
}

static void test_index(void **state)
{
    struct fixture *f = *state;

    history_state(f, "{\"state\":\"current\",\"revisions\":81,\"of\":81}");
    assert_int_equal(run(f, "index"), VERB_YES);
    assert_string_equal(f->out, "current: 81 revisions\n");
    history_state(f, "{\"state\":\"building\",\"revisions\":20,\"of\":81}");
    assert_int_equal(run(f, "index --no-wait"), VERB_NO);
    assert_string_equal(f->out, "building: 20 of 81 revisions\n");
    assert_int_equal(run(f, "index --no-wait --json"), VERB_NO);
    json_t *j = json_of(f);
    assert_string_equal(json_str(j, "state", ""), "building");
    assert_int_equal(json_int(j, "of", 0), 81);
    assert_true(json_is_null(json_object_get(j, "problem")));
    json_decref(j);
    history_state(f, "{\"state\":\"failed\",\"problem\":\"the disk is full\"}");
    assert_int_equal(run(f, "index"), -EIO);
    assert_has(f->why, "the disk is full");
    history_state(f, "");
    assert_int_equal(run(f, "index"), -ENOENT);
    assert_has(f->why, "no index");
}

static void *finish_index(void *arg)
{
    struct fixture *f = arg;

    /* Read by the verb, which opens the fifo: it has seen what was there before. */
    test_write_file(f->dir, ".onward/status.json",
                    "{\"history\":{\"state\":\"building\",\"revisions\":40,\"of\":81}}");
    test_run(f->dir, "cd .onward; echo '{\"history\":{\"state\":\"current\",\"revisions\":81,"
                     "\"of\":81}}' >next; mv next status.json");
    return NULL;
}

static void test_index_waits(void **state)
{
    struct fixture *f = *state;
    pthread_t thread;

    test_run(f->dir, "mkfifo .onward/status.json");
    assert_int_equal(pthread_create(&thread, NULL, finish_index, f), 0);
    assert_int_equal(run(f, "index"), VERB_YES);
    pthread_join(thread, NULL);
    assert_string_equal(f->out, "building: 40 of 81 revisions\ncurrent: 81 revisions\n");
}

static void test_diff_of_a_site_covers_all_that_it_takes(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(run(f, "diff s1"), VERB_NO);
    assert_has(f->out, "-one\n+two\n");
    assert_has(f->out, "base/dns");
    assert_has(f->out, "-1\n+2\n");
    assert_null(strstr(f->out, "revisions/"));
    assert_int_equal(run(f, "diff s1 --json"), VERB_NO);
    json_t *j = json_of(f);
    assert_true(json_is_true(json_object_get(j, "differs")));
    assert_string_equal(json_str(j, "from", ""), A);
    json_decref(j);
}

static void test_diff_of_what_is_shared_alone(void **state)
{
    struct fixture *f = *state;

    test_run(f->dir, "cp revisions/" A "/stores/s1/pos.yaml revisions/" B "/stores/s1/pos.yaml");
    assert_int_equal(run(f, "diff s1"), VERB_NO);
    assert_has(f->out, "-1\n+2\n");
    test_run(f->dir, "cp revisions/" A "/base/dns revisions/" B "/base/dns");
    assert_int_equal(run(f, "diff s1"), VERB_YES);
    assert_has(f->out, "are the same; pending");
}

static void test_diff_of_a_site_in_sync(void **state)
{
    struct fixture *f = *state;

    test_run(f->dir, "ln -sfn ../../revisions/" B "/stores/s1 sites/s1/deployed");
    assert_int_equal(run(f, "diff s1"), VERB_YES);
    assert_has(f->out, "deployed is desired, bbbbbbbbbbbb");
    test_run(f->dir, "rm sites/s1/deployed");
    assert_int_equal(run(f, "diff s1"), VERB_NO);
    assert_has(f->out, "new file");
    assert_int_equal(run(f, "diff s2"), -ENOENT);
    assert_has(f->why, "no desired revision");
}

static void test_diff_of_revisions(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(run(f, "diff HEAD~1 main"), VERB_NO);
    assert_has(f->out, "diff --git a/base/dns b/base/dns\n");
    assert_has(f->out, "diff --git a/stores/s1/pos.yaml b/stores/s1/pos.yaml\n");
    assert_int_equal(run(f, "diff feature/x " A), VERB_YES);
    assert_string_equal(f->out, "");
    assert_int_equal(run(f, "diff nonsense main"), -ENOENT);
    assert_int_equal(run(f, "diff ../revisions/main main"), -ENOENT);
}

static void test_show(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(run(f, "show main"), 0);
    assert_string_equal(f->out, "revision " B "\n"
                                "Author:    Ann Lee <ann@example.org>\n"
                                "Date:      2026-11-23T04:40:00Z\n"
                                "\n"
                                "    Raise the limit\n"
                                "\n"
                                "    Because.\n"
                                "\n"
                                "diff --git a/x b/x\n@@ -1 +1 @@\n-one\n+two\n");
    assert_int_equal(run(f, "show --json main"), 0);
    json_t *j = json_of(f), *changes = json_object_get(j, "changes");
    assert_string_equal(json_str(j, "author", ""), "Ann Lee <ann@example.org>");
    assert_string_equal(json_str(json_array_get(changes, 0), "path", ""), "stores/s1/pos.yaml");
    json_decref(j);
}

static void test_new_and_drop(void **state)
{
    struct fixture *f = *state;
    _cleanup_free_ char *made = xasprintf("%s/staging/w\n", f->dir);

    assert_int_equal(run(f, "new w"), 0);
    assert_string_equal(f->out, made);
    assert_int_equal(run(f, "new w"), -EEXIST);
    assert_int_equal(run(f, "new v --from HEAD~1"), 0);
    test_run(f->dir, "test -d staging/v@aaaaaaaaaaaa");
    assert_int_equal(run(f, "new v --from main"), 0);
    test_run(f->dir, "test -d staging/v@main");
    assert_int_equal(run(f, "new a/b"), VERB_USAGE);
    assert_int_equal(run(f, "new v --from nonsense"), -ENOENT);
    test_run(f->dir, "touch staging/w/x");
    assert_int_equal(run(f, "drop w"), -ENOTEMPTY);
    assert_has(f->why, "--force");
    test_run(f->dir, "mkdir staging/w/.onward; touch staging/w/.onward/drop");
    assert_int_equal(run(f, "drop --force w"), 0);
    test_run(f->dir, "test \"$(cat staging/w/.onward/drop)\" = force");
}

static void workspace(struct fixture *f)
{
    test_run(f->dir,
             "mkdir -p staging/w/.onward; cd staging/w/.onward; touch commit check\n"
             "printf 'workspace: w\nowner: ann\nbase: " A "\nbehind: 2\nadded: 1\nmodified: 1\n"
             "deleted: 3\ntype-changed: 1\noutcome: none\n' >status; echo revision " B " >outcome");
}

static void test_list(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(run(f, "list"), 0);
    assert_has(f->out, "no workspaces");
    workspace(f);
    test_run(f->dir, "mkdir staging/vanishing");
    assert_int_equal(run(f, "list"), 0);
    assert_string_equal(f->out, "WORKSPACE  OWNER  BASE          BEHIND  CHANGES\n"
                                "w          ann    aaaaaaaaaaaa  2       +1 ~2 -3\n");
    assert_int_equal(run(f, "list --json"), 0);
    json_t *j = json_of(f);
    assert_int_equal(json_int(json_array_get(j, 0), "modified", 0), 2);
    assert_string_equal(json_str(json_array_get(j, 0), "base", ""), A);
    json_decref(j);
}

static void test_check(void **state)
{
    struct fixture *f = *state;

    workspace(f);
    assert_int_equal(run(f, "check w"), VERB_YES);
    assert_has(f->out, "no findings");
    test_run(f->dir, "echo 'x.yaml:2:1: yaml: bad' >staging/w/.onward/check");
    assert_int_equal(run(f, "check w"), VERB_NO);
    assert_string_equal(f->out, "x.yaml:2:1: yaml: bad\n");
    assert_int_equal(run(f, "check"), VERB_USAGE);
}

static void test_commit_verb(void **state)
{
    struct fixture *f = *state;

    workspace(f);
    assert_int_equal(run(f, "commit w -m why"), 0);
    assert_string_equal(f->out, "w: revision " B "\nmoves s1\n");
    test_run(f->dir, "test \"$(cat staging/w/.onward/commit)\" = why");
    /* What does not fit on a line goes through the file. */
    test_run(f->dir, ": >staging/w/.onward/commit");
    assert_int_equal(run(f, "commit w -m why\n\nbecause"), 0);
    test_run(f->dir, "cd staging/w/.onward; test \"$(cat commit)\" = - &&"
                     " test \"$(tail -n 1 message)\" = because");
    test_run(f->dir, ": >staging/w/.onward/commit");
    assert_int_equal(run(f, "commit w --json"), 0);
    test_run(f->dir, "test \"$(cat staging/w/.onward/commit)\" = -");
    json_t *j = json_of(f);
    assert_string_equal(json_str(j, "revision", ""), B);
    json_decref(j);
}

static void test_commit_refused(void **state)
{
    struct fixture *f = *state;

    workspace(f);
    /* A directory in place of the control file fails like one that refuses. */
    test_run(f->dir,
             "cd staging/w/.onward; rm commit; mkdir commit; echo 'x:1:1: yaml: bad' >outcome");
    assert_int_equal(run(f, "commit w -m why"), -EISDIR);
    assert_string_equal(f->out, "x:1:1: yaml: bad\n");
    assert_has(f->why, "EISDIR");
    assert_int_equal(run(f, "commit nowhere -m why"), -ENOENT);
}

static void test_rollback_prints_what_comes_of_it(void **state)
{
    struct fixture *f = *state;

    test_run(f->dir, "touch .onward/ctl; echo '{\"decided\":\"" B "\"}' >.onward/status.json");
    test_run(f->dir, "echo 'rollback s1 --to " A " --reason why: revision " B "' >.onward/outcome");
    assert_int_equal(run(f, "rollback s1 --to HEAD~1 --reason why"), 0);
    test_run(f->dir, "test \"$(cat .onward/ctl)\" = 'rollback s1 --to " A " --reason why'");
    assert_string_equal(f->out, "revision " B "\nmoves s1\n");
    assert_int_equal(run(f, "rollback --json s1 --to HEAD~1 --reason why"), 0);
    json_t *j = json_of(f);
    assert_string_equal(json_str(j, "revision", ""), B);
    assert_int_equal(json_array_size(json_object_get(j, "sites")), 1);
    json_decref(j);
    test_run(f->dir,
             "echo 'rollback s1 --to " A " --reason why: proposal 7: waits' >.onward/outcome");
    assert_int_equal(run(f, "rollback --json s1 --to HEAD~1 --reason why"), 0);
    j = json_of(f);
    assert_int_equal(json_int(j, "proposal", 0), 7);
    json_decref(j);
    test_run(f->dir, "echo 'rollback s1 --to aaa…: proposal 3: x' >.onward/outcome");
    assert_int_equal(run(f, "rollback s1 --to HEAD~1 --reason why"), 0);
    assert_string_equal(f->out, "proposal 3: x\n"); /* a long line is cut */
    assert_int_equal(run(f, "rollback s2 --to HEAD~1 --reason other"), 0);
    assert_string_equal(f->out, "done\n"); /* the outcome speaks of another command */
    assert_int_equal(run(f, "rollback s1 --to nowhere --reason why"), -ENOENT);
    assert_int_equal(run(f, "rollback s1 --reason why"), VERB_USAGE);
}

static void test_orders_need_what_they_need(void **state)
{
    struct fixture *f = *state;

    test_run(f->dir, "touch .onward/ctl");
    assert_int_equal(run(f, "hold s1 s2 --reason=why"), 0);
    test_run(f->dir, "test \"$(cat .onward/ctl)\" = 'hold s1 s2 --reason why'");
    assert_int_equal(run(f, "hold s1"), VERB_USAGE);
    assert_has(f->why, "hold needs --reason TEXT");
    assert_int_equal(run(f, "accept"), VERB_USAGE);
    assert_int_equal(run(f, "pause s1"), VERB_USAGE);
    assert_int_equal(run(f, "resume --to x"), VERB_USAGE);
    assert_int_equal(run(f, "hold s1 --reason a\nb"), VERB_USAGE);
    assert_int_equal(run(f, "release --reason x -- --reason"), -ENOENT);
}

static void test_retry(void **state)
{
    struct fixture *f = *state;

    test_run(f->dir, "touch .onward/ctl");
    assert_int_equal(run(f, "retry s1 s2"), 0);
    test_run(f->dir, "test \"$(cat .onward/ctl)\" = 'retry s1 s2'");
    test_run(f->dir, "rm .onward/ctl; mkdir .onward/ctl; echo 's9: no such site' >.onward/outcome");
    assert_int_equal(run(f, "retry s9"), -EISDIR);
    assert_string_equal(f->why, "retry: s9: no such site");
    test_run(f->dir, "echo 'retry s9: there is no site s9' >.onward/outcome");
    assert_int_equal(run(f, "retry s9"), -EISDIR);
    assert_string_equal(f->why, "retry: there is no site s9");
    assert_int_equal(run(f, "retry s1\nhold"), -ENOENT);
}

#define WITH_TREE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_TREE(test_status_verb),
        WITH_TREE(test_log_is_newest_first),
        WITH_TREE(test_log_of_a_path),
        WITH_TREE(test_log_of_a_path_that_there_is_not),
        WITH_TREE(test_index),
        WITH_TREE(test_index_waits),
        WITH_TREE(test_diff_of_a_site_covers_all_that_it_takes),
        WITH_TREE(test_diff_of_what_is_shared_alone),
        WITH_TREE(test_diff_of_a_site_in_sync),
        WITH_TREE(test_diff_of_revisions),
        WITH_TREE(test_show),
        WITH_TREE(test_new_and_drop),
        WITH_TREE(test_list),
        WITH_TREE(test_check),
        WITH_TREE(test_commit_verb),
        WITH_TREE(test_commit_refused),
        WITH_TREE(test_retry),
        WITH_TREE(test_orders_need_what_they_need),
        WITH_TREE(test_rollback_prints_what_comes_of_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
