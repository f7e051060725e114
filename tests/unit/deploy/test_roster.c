#include "fixture.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "deploy/roster.h"

/* Declared sites made by hand, and a real ledger. */
struct scene {
    struct fixture *f;
    struct ledger *ledger;
    struct site *sites[2];
    struct targets targets;
    struct backend_config backend;
    struct roster_backends backends;
    struct roster roster;
};

static void scene_init(struct scene *s, struct fixture *f)
{
    *s = (struct scene){.f = f, .backend = {.name = (char *)"test"}};
    s->backends = (struct roster_backends){&s->backend, 1};
    for (int i = 0; i < 2; i++) {
        struct target *t = VEC_ADD(&s->targets);
        s->sites[i] = site_new();
        *t =
            (struct target){.site = s->sites[i], .desired = oid_number(1), .inputs = oid_number(2)};
    }
    free(s->sites[1]->name);
    s->sites[1]->name = xstrdup("store-2");
    assert_int_equal(ledger_open(f->repo, "h", &s->ledger, NULL), 0);
}

static void scene_done(struct scene *s)
{
    roster_done(&s->roster);
    for (int i = 0; i < 2; i++)
        site_free(s->sites[i]);
    free(s->targets.v);
    ledger_free(s->ledger);
}

static void follow(struct scene *s)
{
    roster_follow(&s->roster, &s->targets, &s->backends, s->ledger);
}

static void append(struct scene *s, const char *site, enum record_kind kind)
{
    struct record r = {.site = (char *)site,
                       .kind = kind,
                       .generation = 3,
                       .attempt = 1,
                       .to = oid_number(1),
                       .at = clock_real(),
                       .exit = -1};

    assert_int_equal(ledger_append(s->ledger, &r, 1, NULL), 0);
    free(r.host);
}

static void test_it_knows_what_the_ledger_says(void **state)
{
    struct scene s;

    scene_init(&s, *state);
    append(&s, "store-1", RECORD_DEPLOYED);
    follow(&s);
    assert_int_equal(s.roster.n, 2);
    assert_int_equal(roster_find(&s.roster, "store-1")->facts.track.generation, 3);
    assert_int_equal(roster_find(&s.roster, "store-2")->facts.track.generation, 0);
    assert_null(roster_find(&s.roster, "store-3"));
    scene_done(&s);
}

static void test_a_target_is_new_from_when_it_changes(void **state)
{
    struct scene s;

    scene_init(&s, *state);
    follow(&s);
    struct roster_site *site = roster_find(&s.roster, "store-1");
    int64_t first = site->desired_at;
    follow(&s);
    assert_int_equal(site->desired_at, first);
    s.targets.v[0].inputs = oid_number(9);
    follow(&s);
    assert_true(site->desired_at > first);
    scene_done(&s);
}

static void test_problems_are_said_in_words(void **state)
{
    struct scene s;

    scene_init(&s, *state);
    s.targets.v[0].problem = (char *)"pin: there is no v9";
    free(s.sites[1]->backend);
    s.sites[1]->backend = xstrdup("elsewhere");
    follow(&s);
    assert_string_equal(s.roster.v[0]->problem, "pin: there is no v9");
    assert_non_null(strstr(s.roster.v[1]->problem, "\"elsewhere\""));
    free(s.sites[1]->backend);
    s.sites[1]->backend = NULL;
    follow(&s);
    assert_non_null(strstr(s.roster.v[1]->problem, "names no backend"));
    scene_done(&s);
}

static void test_dependencies_are_found_by_name(void **state)
{
    struct scene s;

    scene_init(&s, *state);
    *VEC_ADD(&s.sites[0]->depends_on) = (char *)"store-2";
    *VEC_ADD(&s.sites[0]->depends_on) = (char *)"nobody";
    follow(&s);
    const struct plan_site *plan = roster_plan(&s.roster, false);
    assert_int_equal(plan[0].ndepends, 2);
    assert_int_equal(plan[0].depends_on[0], 1);
    assert_int_equal(plan[0].depends_on[1], PLAN_NO_SITE);
    free(s.sites[0]->depends_on.v);
    scene_done(&s);
}

/* Who is gone from the declaration is decided on only while its last attempt has no end. */
static void test_undeclared_sites_get_their_ends(void **state)
{
    struct scene s;

    scene_init(&s, *state);
    append(&s, "gone", RECORD_ATTEMPT);
    append(&s, "ended", RECORD_DEPLOYED);
    follow(&s);
    assert_int_equal(s.roster.ndeclared, 2);
    assert_int_equal(s.roster.n, 3);
    assert_string_equal(s.roster.v[2]->name, "gone");
    assert_null(roster_find(&s.roster, "gone"));
    const struct plan_site *plan = roster_plan(&s.roster, false);
    assert_string_equal(plan[2].problem_kind, "declaration");
    assert_true(oid_is_zero(&plan[2].desired));
    scene_done(&s);
}

/* P10: a broken history harms its own site, which must not start over at generation 1. */
static void test_a_broken_history_blocks_one_site(void **state)
{
    struct scene s;

    scene_init(&s, *state);
    append(&s, "store-1", RECORD_ATTEMPT);
    append(&s, "store-2", RECORD_DEPLOYED);
    test_run(s.f->work, "cd .git && mkdir p && mv objects/pack/*.pack p && rm objects/pack/* && "
                        "for f in p/*; do git unpack-objects -q < $f; done");
    test_run(s.f->work, "o=$(git ls-tree -r refs/onward/ledger/h | grep store-1 | cut -c13-52) && "
                        "rm -f .git/objects/$(echo $o | cut -c1-2)/$(echo $o | cut -c3-)");
    ledger_free(s.ledger);
    repo_free(s.f->repo);
    assert_int_equal(repo_open(s.f->work, &s.f->repo, NULL), 0);
    assert_int_equal(ledger_open(s.f->repo, "h", &s.ledger, NULL), 0);
    follow(&s);
    const struct plan_site *plan = roster_plan(&s.roster, false);
    assert_string_equal(plan[0].problem_kind, "verification");
    assert_null(plan[1].problem_kind);
    scene_done(&s);
}

static void test_a_rollback_brings_everything_back(void **state)
{
    struct scene s;
    struct attempt attempt;

    scene_init(&s, *state);
    append(&s, "store-1", RECORD_DEPLOYED);
    follow(&s);
    struct roster_site *site = roster_find(&s.roster, "store-1");
    for (int keep = 0; keep < 2; keep++) {
        struct record r = {
            .kind = RECORD_ATTEMPT, .generation = 4, .attempt = 1, .source = (char *)"new"};
        site->facts.retry_by = xstrdup("ann");
        roster_touch(&s.roster, site);
        roster_touch(&s.roster, site);
        site_track_apply(&site->facts.track, &r, 0);
        free(TAKE(site->facts.retry_by));
        site->facts.attempt = &attempt;
        if (keep)
            roster_commit(&s.roster);
        else
            roster_rollback(&s.roster);
        assert_int_equal(site->facts.track.generation, keep ? 4 : 3);
        assert_int_equal(site->facts.track.phase, keep ? TRACK_OPEN : TRACK_DEPLOYED);
        assert_ptr_equal(site->facts.attempt, keep ? &attempt : NULL);
        assert_true(keep ? !site->facts.retry_by : !strcmp(site->facts.retry_by, "ann"));
        free(TAKE(site->facts.retry_by));
        assert_null(site->saved);
        assert_int_equal(s.roster.touched.n, 0);
    }
    scene_done(&s);
}

static void test_what_another_process_runs_is_running(void **state)
{
    struct scene s;

    scene_init(&s, *state);
    follow(&s);
    append(&s, "store-1", RECORD_ATTEMPT);
    roster_reload(&s.roster, s.ledger);
    assert_true(roster_plan(&s.roster, true)[0].attempt);
    assert_false(roster_plan(&s.roster, false)[0].attempt);
    scene_done(&s);
}

static void test_a_commit_of_files_moves_only_the_revisions(void **state)
{
    struct declaration declaration = {.refs = 1};
    struct oid three = oid_number(3);
    struct target next[2];
    struct scene s;

    scene_init(&s, *state);
    s.targets.declaration = &declaration;
    follow(&s);
    assert_int_equal(s.roster.rollouts.n, 1);
    memcpy(next, s.targets.v, sizeof(next));
    memset(s.targets.v, 0xff, sizeof(next)); /* the old targets are gone */
    next[0].desired = three;
    roster_follow(&s.roster,
                  &(struct targets){.declaration = &declaration, .v = next, .n = ARRAY_SIZE(next)},
                  &s.backends, s.ledger);
    assert_memory_equal(&roster_find(&s.roster, "store-1")->desired, &three, sizeof(three));
    assert_ptr_equal(roster_find(&s.roster, "store-2")->target, &next[1]);
    assert_int_equal(s.roster.rollouts.n, 2);
    assert_int_equal(roster_find(&s.roster, "store-1")->rollout, 1); /* in the order of their ids */
    assert_int_equal(roster_find(&s.roster, "store-2")->rollout, 0);
    scene_done(&s);
    assert_int_equal(declaration.refs, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_it_knows_what_the_ledger_says),
        TEST(test_a_target_is_new_from_when_it_changes),
        TEST(test_a_commit_of_files_moves_only_the_revisions),
        TEST(test_problems_are_said_in_words),
        TEST(test_dependencies_are_found_by_name),
        TEST(test_undeclared_sites_get_their_ends),
        TEST(test_a_broken_history_blocks_one_site),
        TEST(test_a_rollback_brings_everything_back),
        TEST(test_what_another_process_runs_is_running),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
