"""The table and the plot of a run: build/bench.md, build/bench.svg."""
import os
import shutil
import subprocess
import time

import means


def number(value, unit):
    if value is None:
        return "–"
    if value >= 1000:
        text = format(int(round(value)), ",")
    else:
        text = "%.3g" % value
    return text + ("" if unit == "/s" else " ") + unit


def middle(values):
    values = sorted(v for v in values if v is not None)
    return values[len(values) // 2] if values else None


def target_text(row):
    if row.target is None:
        return "–"
    if row.bound == "ratio":
        return "≥ %g" % row.target
    return ("≥ " if row.bound == "least" else "≤ ") + number(row.target, row.unit)


def spread_text(row):
    """Median (least..most) of the turns."""
    values = row.values()
    if not values:
        return "–"
    if row.bound == "ratio":
        return "**%.2f** (%.2f..%.2f)" % (row.median(), min(values), max(values))
    return "**%s** (%s..%s)" % (number(row.median(), row.unit), number(min(values), row.unit),
                                number(max(values), row.unit))


def verdict(row):
    if row.skipped:
        return "skipped"
    return {True: "reached", False: "**missed**", None: "–"}[row.reached()]


def line(row):
    """For the terminal, as soon as a row is measured."""
    if row.skipped:
        return "%-18s skipped: %s" % (row.name, row.skipped)
    left = number(middle(row.a), row.unit)
    if row.bound == "ratio":
        left += " to " + number(middle(row.b), row.unit)
    return "%-18s %-32s %-30s %-12s %s" % (row.name, left, spread_text(row).replace("*", ""),
                                           target_text(row), verdict(row).replace("*", ""))


def machine(bench):
    model = next((ln.split(":", 1)[1].strip() for ln in open("/proc/cpuinfo")
                  if ln.startswith("model name")), "unknown processor")
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / (1 << 30)
    return "%d processors (%s), %.0f GiB; Linux %s; %s; load average before it %.1f" % (
        os.cpu_count(), model, memory, os.uname().release,
        means.file_system(os.path.dirname(bench.root)), bench.load)


def details(rows):
    """What the generator said of larder in the last turn."""
    out = ["", "## Latencies of larder, last turn", "",
           "| row | a second | MB/s | p50 ms | p90 | p99 | p99.9 | max | generator, cores |",
           "|---|---|---|---|---|---|---|---|---|"]
    for row in rows:
        if row.detail:
            d, t = row.detail, row.detail["latency_us"]
            out.append("| %s | %s | %.1f | %s | %.2f |" % (
                row.name, number(d["per_second"], "/s"), d["mb_per_second"],
                " | ".join("%.3f" % (t[q] / 1000) for q in ("p50", "p90", "p99", "p999", "max")),
                d["generator_cores"]))
    return out


def notes(rows):
    found = ["- %s: %s" % (r.name, n) for r in rows for n in
             (["skipped: " + r.skipped] if r.skipped else r.notes)]
    return ["", "## Notes", ""] + found if found else []


def markdown(bench, seconds):
    judged = [r for r in bench.rows if r.target is not None]
    out = ["# larder beside its limits", "",
           "%s. %s. The load generator shares the processors with the servers; what else runs here "
           "disturbs both sides of a ratio alike. %d turns A B A B of %g s each; %.0f s in all%s." % (
               time.strftime("%Y-%m-%d %H:%M"), machine(bench), bench.turns, bench.seconds, seconds,
               "" if bench.full else ". The quick form: `make bench FULL=1` has the large rows"), "",
           "%d of %d targets reached, %d skipped." % (
               sum(r.reached() is True for r in judged), len(judged),
               sum(r.skipped is not None for r in judged)), "",
           "| row | what | against | larder | limit | median (least..most) | target | |",
           "|---|---|---|---|---|---|---|---|"]
    for r in bench.rows:
        out.append("| %s | %s | %s | %s | %s | %s | %s | %s |" % (
            r.name, r.what, r.against or "–", number(middle(r.a), r.unit),
            number(middle(r.b), r.unit), spread_text(r), target_text(r), verdict(r)))
    return "\n".join(out + details(bench.rows) + notes(bench.rows)) + "\n"


PLOT = """set terminal svg size 1100,560 font "sans,13" background "white"
set output "%(svg)s"
set title "larder beside its limits: 1 is the target; median, and the spread of the turns"
set style fill solid 0.6
set boxwidth 0.6
set xtics rotate by -40
set grid ytics
set logscale y 2
set yrange [0.03125:32]
set ylabel "part of the target reached"
unset key
$rows << end
%(rows)s
end
plot $rows using 0:2:($2 >= 1 ? 0x3a8f5c : 0xc0504d):xtic(1) with boxes lc rgb variable, \\
     $rows using 0:2:3:4 with yerrorbars lc rgb "black" pt 0 lw 1.5, \\
     1 with lines lc rgb "black" dt 2
"""


def plot(rows, path):
    """False where gnuplot is missing, or fails (said)."""
    scored = [(r.name, r.score()) for r in rows if r.target is not None and r.values()]
    if not scored or not shutil.which("gnuplot"):
        return False
    text = PLOT % {"svg": path, "rows": "\n".join("%s %.4f %.4f %.4f" % (
        name, *(min(32, max(1 / 32, part)) for part in score)) for name, score in scored)}
    done = subprocess.run(["gnuplot"], input=text.encode(), stderr=subprocess.PIPE)
    if done.returncode:
        print("gnuplot: " + done.stderr.decode(errors="replace").strip())
    return done.returncode == 0
