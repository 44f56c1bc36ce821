"""Measures larder beside its limits: the rows of rows.py, by the means of means.py, into the table of
report.py. tools/bench.sh says how it is called. Everything is below one directory of its own, and
goes away at the end; an interrupted run writes what it has."""
import os
import shutil
import signal
import sys
import tempfile
import time

import means
import report
import rows
import rows_masters

QUICK_LIMIT, FULL_LIMIT = 150, 40 * 60  # seconds, that the rows share


def settings():
    full = bool(os.environ.get("FULL"))
    turns = int(os.environ.get("BENCH_TURNS") or (5 if full else 3))
    seconds = float(os.environ.get("BENCH_SECONDS") or (3 if full else 1))
    limit = FULL_LIMIT if full else QUICK_LIMIT * max(1, turns / 3) * max(1, seconds)
    return full, turns, seconds, limit


def check(wanted):
    """Says what is missing, and ends where nothing can be measured."""
    for path in [means.BIN + "/larder", means.TOOLS + "/tool_fill"]:
        if not os.path.exists(path):
            sys.exit("bench: %s is missing; run `make bench`" % path)
    if wanted and wanted[0].startswith("-"):
        sys.exit("Usage: bench.sh [ROW]...   e.g. get-302, put, volume-1M; see the table for all")
    if not means.nginx_path():
        print("nginx is missing: rows that need it are skipped (tools/deps.sh bench installs it)")
    if not shutil.which("gnuplot"):
        print("gnuplot is missing: there will be no plot (tools/deps.sh bench installs it)")


def write(bench, seconds):
    build = os.path.join(means.ROOT, "build")
    os.makedirs(build, exist_ok=True)
    path, svg = os.path.join(build, "bench.md"), os.path.join(build, "bench.svg")
    plotted = report.plot(bench.rows, svg)
    text = report.markdown(bench, seconds)
    with open(path, "w") as f:
        f.write(text + ("\n![bench](bench.svg)\n" if plotted else ""))
    print("written: build/bench.md%s" % (", build/bench.svg" if plotted else ""))


def interrupted_once(*_):
    """make and the shell may both pass a signal on: the second must not cut the cleaning short."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


def main(wanted):
    check(wanted)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, interrupted_once)
    full, turns, seconds, limit = settings()
    root = tempfile.mkdtemp(prefix="larder-bench.", dir=means.http11.temp_root())
    began = time.monotonic()
    bench = rows.Bench(root, full, turns, seconds, os.environ.get("PEER"), wanted, limit,
                       lambda row: print(report.line(row), flush=True))
    print("%s; %d turns of %g s, below %s" % (report.machine(bench), turns, seconds, root),
          flush=True)
    interrupted = False
    try:
        if means.nginx_path():
            bench.nginx = means.Nginx(os.path.join(root, "nginx")).start()
        rows.all_rows(bench)
        rows_masters.all_rows(bench)
        rows.last_rows(bench)
    except KeyboardInterrupt:
        interrupted = True
        print("interrupted: what there is, is written")
    finally:
        if bench.nginx:
            bench.nginx.stop()  # SIGKILL would leave its workers
        shutil.rmtree(root, ignore_errors=True)
    if bench.rows:
        write(bench, time.monotonic() - began)
    failed = [r.name for r in bench.rows if any("failed" in n for n in r.notes)]
    if failed:
        print("rows with failures: " + " ".join(failed))
    return 1 if interrupted or failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
