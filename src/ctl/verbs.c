#include <string.h>

#include "ctl/verb.h"

const struct verb verbs[] = {
    {
        .name = "status",
        .operands = "[SITE…]",
        .summary = "which revision every site runs, and where it is going",
        .help = "Without SITE: the fleet, a line a site. With SITE: all that is known of each.",
        .options = OPTION_JSON | OPTION_WATCH,
        .most = -1,
        .run = verb_status,
    },
    {
        .name = "log",
        .operands = "[SITE | -- PATH]",
        .summary = "deployments from the ledger, or the history of a path, newest first",
        .help =
            "PATH: a file or directory that is or was on the mainline, relative to the working\n"
            "directory in a revision, a site's link or a workspace, else to the repository's "
            "root.",
        .options = OPTION_JSON | OPTION_LIMIT,
        .most = 1,
        .path = true,
        .run = verb_log,
    },
    {
        .name = "diff",
        .operands = "SITE | REV REV",
        .summary = "what differs between deployed and desired, or between two revisions",
        .help = "Exit status 1 when something differs. REV: a full or abbreviated id, a branch, a "
                "tag,\n"
                "or an expression such as HEAD~3.",
        .options = OPTION_JSON,
        .least = 1,
        .most = 2,
        .run = verb_diff,
    },
    {
        .name = "show",
        .operands = "REV | proposal N",
        .summary = "one revision, or proposal: who, when, why, and the patch",
        .options = OPTION_JSON,
        .least = 1,
        .most = 2,
        .run = verb_show,
    },
    {
        .name = "new",
        .operands = "NAME",
        .summary = "make a workspace, based on head or on another revision",
        .help =
            "Prints its directory: edit there with any program, then `onward commit`. One that is\n"
            "based on REV is called NAME@REV.",
        .options = OPTION_FROM,
        .least = 1,
        .most = 1,
        .run = verb_new,
    },
    {
        .name = "list",
        .operands = "",
        .summary = "the workspaces: owner, base, how far behind head, what changed",
        .help = "With --proposals: the changes that wait for approvals.",
        .options = OPTION_JSON | OPTION_PROPOSALS,
        .run = verb_list,
    },
    {
        .name = "check",
        .operands = "[WORKSPACE]",
        .summary = "run the checks on a workspace as it is now",
        .help = "Exit status 1 when there are findings. Without WORKSPACE: the one of the working "
                "directory.",
        .options = OPTION_JSON,
        .most = 1,
        .run = verb_check,
    },
    {
        .name = "commit",
        .operands = "[WORKSPACE]",
        .summary = "make a workspace's changes a revision of the mainline",
        .help =
            "Without WORKSPACE: the one of the working directory. Without -m: the message "
            "prepared\n"
            "in the workspace's .onward/message. Prints the new revision and the sites that it\n"
            "moves; when it is refused, prints the reasons and changes nothing. Where the\n"
            "mainline asks for approvals, makes a proposal, or changes the one that it made.",
        .options = OPTION_MESSAGE | OPTION_JSON,
        .most = 1,
        .run = verb_commit,
    },
    {
        .name = "rebase",
        .operands = "[WORKSPACE]",
        .summary = "bring a workspace's changes onto head",
        .help = "Without WORKSPACE: the one of the working directory. Exit status 1 when there is\n"
                "something to decide: text has the marks of conflicts, of other files the\n"
                "workspace's own are kept; both are printed.",
        .options = OPTION_JSON,
        .most = 1,
        .run = verb_rebase,
    },
    {
        .name = "approve",
        .operands = "N",
        .summary = "approve somebody else's proposal; the last approval merges it",
        .help = "-m adds a comment, of one line. Look first: `onward show proposal N`.",
        .options = OPTION_MESSAGE,
        .least = 1,
        .most = 1,
        .run = verb_approve,
    },
    {
        .name = "drop",
        .operands = "NAME",
        .summary = "remove a workspace; with --force also one with changes",
        .options = OPTION_FORCE,
        .least = 1,
        .most = 1,
        .run = verb_drop,
    },
    {
        .name = "retry",
        .operands = "SITE…",
        .summary = "try again now what failed or waits for its next attempt",
        .least = 1,
        .most = -1,
        .run = verb_order,
    },
    {
        .name = "hold",
        .operands = "SITE…",
        .summary = "keep sites at what they run, whatever is committed, until `release`",
        .help = "Nothing else lifts a hold. What is under way ends first.",
        .options = OPTION_REASON,
        .needed = OPTION_REASON,
        .least = 1,
        .most = -1,
        .run = verb_order,
    },
    {
        .name = "release",
        .operands = "SITE…",
        .summary = "let held sites move on",
        .options = OPTION_REASON,
        .least = 1,
        .most = -1,
        .run = verb_order,
    },
    {
        .name = "pause",
        .operands = "",
        .summary = "let no site begin to move, until `resume`",
        .help = "What is under way ends first. Nothing else lifts a pause.",
        .options = OPTION_REASON,
        .run = verb_order,
    },
    {
        .name = "resume",
        .operands = "",
        .summary = "let sites move on",
        .options = OPTION_REASON,
        .run = verb_order,
    },
    {
        .name = "rollback",
        .operands = "SITE…",
        .summary = "commit what sites took at an older revision, as a new one",
        .help =
            "The new revision is what head is, but for the directories and files that the sites "
            "take:\n"
            "those are as they were at REV. It is checked, and reviewed, like every other "
            "commit.\n"
            "Refused when other sites take something of it too: name those as well.",
        .options = OPTION_TO | OPTION_REASON | OPTION_JSON,
        .needed = OPTION_TO | OPTION_REASON,
        .least = 1,
        .most = -1,
        .run = verb_rollback,
    },
    {
        .name = "accept",
        .operands = "",
        .summary = "go on with a mainline or a ledger that has lost what it had",
        .help =
            "Until then nothing moves. Look first at what is missing: it is in `onward status`.",
        .options = OPTION_REASON,
        .needed = OPTION_REASON,
        .run = verb_order,
    },
    {
        .name = "verify",
        .operands = "[SITE]",
        .summary = "prove that what is recorded was not tampered with",
        .help = "With --ledger: walks every commit and every record of every host's ledger, and "
                "names what\n"
                "was removed, edited, slipped in or set back; with SITE, only what concerns it. "
                "Exit\n"
                "status 1 when there is something. Takes minutes for each million records.",
        .options = OPTION_LEDGER | OPTION_JSON,
        .most = 1,
        .run = verb_verify,
    },
    {
        .name = "index",
        .operands = "",
        .summary = "wait until the index of the history is complete, and show how far it is",
        .help = "Exit status 1 when it cannot be made, or with --no-wait when it is not complete.",
        .options = OPTION_JSON | OPTION_NO_WAIT,
        .run = verb_index,
    },
};
const size_t nverbs = ARRAY_SIZE(verbs);

const struct verb *verb_find(const char *name)
{
    for (size_t i = 0; i < nverbs; i++)
        if (!strcmp(verbs[i].name, name))
            return &verbs[i];
    return NULL;
}

void verb_usage(const struct verb *v, struct buf *out)
{
    buf_addf(out, "onward [-C DIR] %s%s%s%s", v->name, v->options ? " [OPTION…]" : "",
             *v->operands ? " " : "", v->operands);
}

void verb_help(const struct verb *v, struct buf *out)
{
    buf_adds(out, "Usage: ");
    verb_usage(v, out);
    buf_addf(out, "\n\n%s\n", v->summary);
    if (v->help)
        buf_addf(out, "%s\n", v->help);
    buf_addc(out, '\n');
    args_help(v->options, out);
}

void verbs_help(struct buf *out)
{
    buf_adds(out, "Usage: onward [-C DIR] VERB [OPTION…] [OPERAND…]\n\n"
                  "Sees and changes a fleet through a mounted onwardfs.\n\n"
                  "Verbs:\n");
    for (size_t i = 0; i < nverbs; i++)
        buf_addf(out, "  %-9s%s\n", verbs[i].name, verbs[i].summary);
    buf_adds(out, "\nThe mount is that of the working directory (or of DIR), else ONWARD_MOUNT,\n"
                  "else the only one mounted.\n\n"
                  "  -C DIR        act as if started in DIR\n"
                  "      --version\n"
                  "  -h, --help    this, or the help of a verb\n\n"
                  "Exit status: 0 yes or done, 1 no, failed or different, 2 usage.\n"
                  "Colours appear on a terminal unless NO_COLOR is set.\n");
}
