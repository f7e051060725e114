/* The version of onwardfs, and of the contract that backends and the files in the mount keep. */
#ifndef ONWARD_VERSION_H
#define ONWARD_VERSION_H

/* Of the program. The build defines the same text; a difference does not compile. */
#define ONWARD_VERSION "0.1.0"

/* The number under "onward" in onward.yaml, in requests to backends and in records of the ledger.
 * It changes only when something that is there now changes its meaning; new fields do not change
 * it. */
#define ONWARD_CONTRACT 1

#endif
