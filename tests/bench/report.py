"""Rows as they are measured, with all that is known of them; at the end a table to quote."""

import os
import platform

from measure import MB, median, ratio

HEAD = ["cold/warm", "ext4, s", "onwardfs, s", "ratio", "target", "requests", "CPU, s", "RSS, MB"]
WIDTHS = [40, 14, 14, 12, 9, 12, 10, 8]


def aligned(cells, widths):
    return "  ".join([cells[0].ljust(widths[0])] + [c.rjust(w) for c, w in zip(cells[1:], widths[1:])]).rstrip()


def pair(cold, warm, form):
    """`cold/warm`; a dash for what is not known."""
    return "/".join("-" if v is None else format(v, form) for v in (cold, warm))


class Report:
    def __init__(self, by_kind):
        self.by_kind, self.rows, self.notes = by_kind, [], []

    def head(self, bench):
        args, s = bench.args, bench.subject
        beside = "a loop-mounted ext4 image" if bench.loop else \
            "a directory of the local disk, which is never cold: only the warm ratio compares like with like"
        print(f"{s}; tip {s.tip[:12]}\n{os.cpu_count()} CPUs, Linux {platform.release()}, load "
              f"{os.getloadavg()[0]:.1f}; medians of {args.repeat}; beside {beside}\n"
              f"diff: {s.near[:12]}, {s.distance} before; path: {s.path}\n")
        print(aligned(HEAD, WIDTHS), flush=True)

    def note(self, text):
        print(text, flush=True)

    def add(self, name, ours, base, limits, cold_base=None):
        """A row. `cold_base`: the seconds that cold runs are held against, when not those of `base`."""
        ratios = pair(ratio(ours.seconds("cold"), cold_base or base.seconds("cold")),
                      ratio(ours.seconds("warm"), base.seconds("warm")), ".2f")
        times = [pair(x.time("cold"), x.time("warm"), ".3f") for x in (base, ours)]
        self.row([name, *times, ratios, pair(*limits, ".1f")], ours)

    def row(self, cells, ours):
        """The cells that differ by kind of row, and those of the daemon's costs."""
        cells += [pair(ours.count("cold"), ours.count("warm"), ".0f"),
                  pair(ours.cpu("cold"), ours.cpu("warm"), ".2f"),
                  "/".join(f"{m / MB:.0f}" for m in ours.memory())]
        self.rows.append(cells)
        self.note(aligned(cells, WIDTHS))
        if self.by_kind:
            self.kinds(ours)

    def kinds(self, series):
        for when in ("cold", "warm"):
            found = getattr(series, when)[-1].requests
            print(f"    {when}: " + (" ".join(f"{op} {n}" for op, n in found.most_common()) or "nothing"))

    def speed(self, name, ours, base, limit):
        """A row of MB/s: the samples' output is a count of bytes."""
        def rate(series, when):
            return median([s.output / s.seconds / 1e6 for s in getattr(series, when)])
        rates = [pair(rate(x, "cold"), rate(x, "warm"), ".0f") for x in (base, ours)]
        ratios = [ratio(ours.seconds(when), base.seconds(when)) for when in ("cold", "warm")]
        self.row([name, rates[0] + " MB/s", rates[1] + " MB/s", pair(*ratios, ".2f"), limit], ours)

    def single(self, name, value, limit, beside="", cpu=""):
        self.rows.append([name, beside, value, "", limit, "", cpu, ""])
        self.note(aligned(self.rows[-1], WIDTHS))

    def table(self, bench):
        """The last lines: a table that README can quote."""
        print(f"\n{bench.subject}; {os.cpu_count()} CPUs; medians of {bench.args.repeat}\n")
        widths = [max(len(r[i]) for r in [HEAD, *self.rows]) for i in range(len(HEAD))]
        for row in [HEAD, *self.rows]:
            print(aligned(row, widths))
