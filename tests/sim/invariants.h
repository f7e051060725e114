/* The invariants of deploy/plan.h, each said again in other words: from the records of the world,
 * not with the functions of the plan. A violation ends the program with the number and the seed. */
#ifndef ONWARD_TESTS_SIM_INVARIANTS_H
#define ONWARD_TESTS_SIM_INVARIANTS_H

#include "world.h"

/* A plan before it is carried out (I1-I9, I12-I18). `input` is what it was made of. */
void invariants_of_plan(const struct world *w, const struct plan_input *input,
                        const struct plan *plan);
/* What an attempt's end is to be recorded as (I7, I16). */
void invariants_of_end(const struct world *w, const struct sim_site *s, enum backend_end end,
                       const struct plan_outcome *outcome);
/* The world once nothing is left to do (I5, I10, I11, I13). */
void invariants_at_rest(const struct world *w, const struct plan *plan);
/* The site is where it should be, by its records (I9). */
bool sim_in_sync(const struct sim_site *s);
/* Another process runs its newest attempt. */
bool sim_runs_elsewhere(const struct world *w, const struct sim_site *s);

#endif
