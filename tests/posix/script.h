/* A script of system calls, and what it says of them.
 *
 * The program `posix` reads scripts (cases/NAME.cases), makes the calls that they name, and prints
 * a line for each: the call, then what came of it, with everything left out that may differ between
 * two file systems that behave the same (inode numbers, absolute times, device numbers). The runner
 * (test_posix.py) runs it in two places and compares the lines.
 *
 * A script is lines of words:
 *
 *   # a comment
 *   case NAME          begins a case, which runs in an empty directory NAME of its own
 *   +file NAME SIZE    what the case is given: made before its calls, or there already (--given)
 *   +exec NAME, +text NAME WORD, +link NAME TARGET, +dir NAME
 *   CALL WORD…         one call; the tables in calls_*.c say which there are
 *   child CALL … ; CALL …         these in a process of their own, which is waited for
 *   as UID CALL … ; CALL …        the same, as another user; needs root, else it says so
 *
 * Words: `""` is empty, `\xHH` a byte, `\s` a space, `{ab*N}` repeats, `$D` is the case's directory
 * and `%N` is /proc/self/fd/ of the file that slot N holds. Open files and directories are in slots
 * 0…9, mappings in others of their own; what a case leaves open is closed behind it.
 *
 * In a call: a result is an errno by name or the number returned, `-` if it is not to be compared.
 * What can be observed is read back by calls of its own (stat, cat, ls …), never by a side effect
 * of the call in question. */
#ifndef ONWARD_TESTS_POSIX_SCRIPT_H
#define ONWARD_TESTS_POSIX_SCRIPT_H

#include <dirent.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#define SLOTS     10
#define WORDS     12
#define INODES    256
#define DATA_MOST (1 << 20)

struct script {
    const char *group, *name; /* of the case */
    char *directory;          /* of the case, absolute */
    int home;                 /* the same, open */
    int fds[SLOTS];
    DIR *dirs[SLOTS];
    struct {
        char *at;
        size_t len;
    } maps[SLOTS];
    struct stat mark;     /* of the last `mark` */
    ino_t inodes[INODES]; /* seen in this case, in order */
    size_t ninodes;
    char *word[WORDS]; /* of the line, missing ones NULL */
    int nwords;
};

/* A kind of call: the least number of words behind its name, and what makes it. It prints what came
 * of it, without a newline. */
struct call {
    const char *name;
    int words;
    void (*make)(struct script *s);
};
extern const struct call name_calls[], data_calls[], attribute_calls[], process_calls[],
    trial_calls[]; /* each ends with an empty one */

/* One call: its words as they stand in the script. Prints one line. */
void script_call(struct script *s, const char *text);
/* What the case is given (a line that begins with `+`). `made`: it is there, except for empty
 * directories. */
void script_given(struct script *s, const char *text, bool there);
/* Closes and unmaps whatever the case has left. */
void script_clear(struct script *s);

/* For the calls. Each prints. */
void say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void say_errno(int err);
/* An errno if `r` is negative, else the number. */
void say_result(long r);
/* The same, and 0 for whatever is not negative. */
void say_done(long r);
/* Bytes: themselves if they are few and can be read, else their number and a hash. */
void say_bytes(const char *data, size_t n);

/* The words, as numbers; -1 for `-`. */
long number(const char *word);
int slot(const char *word);
/* The file in the slot that the word names; -1, which makes every call fail with EBADF. */
int file(struct script *s, const char *word);
void put_file(struct script *s, const char *word, int fd);
/* The sum of those of the named bits that the word `a|b|c` names. */
struct bit {
    const char *name;
    long bit;
};
long bits(const struct bit *table, const char *word);

/* A number for the inode that stays the same within the case: 1, 2 … */
size_t inode_label(struct script *s, ino_t ino);
/* `n` bytes that differ from place to place, and from seed to seed. */
void pattern(char *out, size_t n, size_t off, unsigned seed);

#endif
