/* onward verify --ledger: what .onward/ledger finds, all of it or of one site. The daemon does the
 * walking; each question is a file of its own, so that of a site or a revision can come beside. */
#include <errno.h>
#include <string.h>

#include "ctl/rev.h"
#include "ctl/verb.h"

#define REPORT ".onward/ledger"

struct report {
    json_t *findings; /* array */
    json_t *totals;   /* object; NULL: the file has not said */
};

static void report_done(struct report *r)
{
    json_decref(r->findings);
    json_decref(r->totals);
}

/* Of that site, or of all of them (of which a site is a part). */
static bool concerns(const json_t *finding, const char *site)
{
    const char *of = json_str(finding, "site", NULL);

    return !site || !of || !strcmp(of, site);
}

/* A finding has a "what"; the line without is the last one, with the totals. */
static int take_line(struct report *r, const char *line, const char *site, struct diag *reterr)
{
    _cleanup_(json_decrefp) json_t *j = NULL;
    int err = json_read(line, strlen(line), &j, reterr);

    if (err < 0)
        return diag_prefix(reterr, err, REPORT);
    if (!json_str(j, "what", NULL))
        r->totals = json_incref(j);
    else if (concerns(j, site))
        json_array_append(r->findings, j);
    return 0;
}

static int read_report(const struct call *call, const char *site, struct report *r,
                       struct diag *reterr)
{
    _cleanup_(buf_done) struct buf text = {0};
    int err = mountpoint_read_trimmed(call->mount, REPORT, &text, reterr);
    char *rest = text.data, *line;

    while (err == 0 && (line = strsep(&rest, "\n")))
        err = take_line(r, line, site, reterr);
    if (err == 0 && !r->totals)
        err = diag_fail(reterr, -EIO, REPORT " is cut short");
    return err;
}

/* "ops-1 0123456789ab store-0001 #7: what". */
static void print_finding(const struct call *call, const json_t *f)
{
    const char *commit = json_str(f, "commit", NULL), *site = json_str(f, "site", NULL);
    _cleanup_(buf_done) struct buf line = {0};

    buf_adds(&line, json_str(f, "host", "?"));
    if (commit)
        buf_addf(&line, " %.*s", REV_SHORT, commit);
    if (site && *site)
        buf_addf(&line, " %s #%" JSON_INTEGER_FORMAT, site, json_int(f, "generation", 0));
    else if (site)
        buf_adds(&line, " (fleet)");
    fprintf(call->out, "%s: ", buf_str(&line));
    paint_string(&call->paint, PAINT_PLAIN, json_str(f, "what", ""), call->out);
    putc('\n', call->out);
}

static void print_text(const struct call *call, const struct report *r)
{
    size_t i, n = json_array_size(r->findings);
    json_t *f;

    json_array_foreach(r->findings, i, f)
    {
        print_finding(call, f);
    }
    fprintf(call->out,
            "%s%" JSON_INTEGER_FORMAT " records in %" JSON_INTEGER_FORMAT
            " commits of %" JSON_INTEGER_FORMAT " host%s: ",
            n ? "\n" : "", json_int(r->totals, "records", 0), json_int(r->totals, "commits", 0),
            json_int(r->totals, "chains", 0), json_int(r->totals, "chains", 0) == 1 ? "" : "s");
    if (n)
        fprintf(call->out, "%zu findings%s\n", n,
                json_is_true(json_object_get(r->totals, "complete")) ? "" : ", and more");
    else
        fputs("intact\n", call->out);
}

static void print_json(const struct call *call, const struct report *r)
{
    _cleanup_(buf_done) struct buf text = {0};

    json_object_set(r->totals, "findings", r->findings);
    json_write(r->totals, 1, &text);
    fprintf(call->out, "%s\n", buf_str(&text));
}

/* A site that nobody knows has nothing wrong with it, which is not what was asked. */
static int check_site(const struct call *call, const char *site, struct diag *reterr)
{
    _cleanup_(names_done) struct names sites = {0};
    int r = mountpoint_list(call->mount, "sites", &sites, reterr);

    for (size_t i = 0; r == 0 && i < sites.n; i++)
        if (!strcmp(sites.v[i], site))
            return 0;
    return r < 0 ? r : diag_fail(reterr, -ENOENT, "there is no site \"%s\"", site);
}

int verb_verify(const struct call *call, struct diag *reterr)
{
    _cleanup_(report_done) struct report report = {.findings = json_array()};
    const char *site = call->n ? call->operands[0] : NULL;

    if (!call->ledger)
        return diag_fail(reterr, VERB_USAGE, "what to verify? there is: verify --ledger");
    int r = site ? check_site(call, site, reterr) : 0;
    if (r == 0)
        r = read_report(call, site, &report, reterr);
    if (r < 0)
        return r;
    if (call->json)
        print_json(call, &report);
    else
        print_text(call, &report);
    return json_array_size(report.findings) ? VERB_NO : VERB_YES;
}
