"""Runs the fault suite: each file of tests in a process of its own, and counts: "faults: N passed, N
failed". The table of what was tried is written to build/faults.md and printed. FAULTS_JOBS files run at
a time (default: two a processor, since they wait for timers, disks and each other most of the time), but
those that measure times (ALONE) one after the other, at the end.

Without HOURS this is the short form. With HOURS=2 (or 0.5) every test does its full number of rounds,
at least once, and all is repeated with other seeds until the time is over.
Usage: run.py [test_NAME[.CLASS[.METHOD]]]...   FAULTS_SEED repeats a run (its
second pass has the next seed); LARDER_BIN: the programs
"""
import glob
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, HERE)
import means  # noqa: E402  first: it says where children.py is
import children  # noqa: E402
import table  # noqa: E402

# The order of the report: the basic ones first; what is left of the files follows.
ORDER = ["test_checker", "test_kill", "test_power", "test_syscalls", "test_damage", "test_damaged_index",
         "test_away", "test_space", "test_network", "test_masters", "test_masters_disks", "test_planted",
         "test_frozen", "test_speed"]
ALONE = {"test_frozen", "test_speed"}
# Those that take longest begin first, so that none of them goes on when all the others are over.
LONG = ("test_masters", "test_planted", "test_masters_disks", "test_kill", "test_space")
FIXED_SEED = bool(os.environ.get("FAULTS_SEED"))
SHORT_LIMIT, FULL_LIMIT = 480, 3 * 3600  # seconds for one file


def run_here(name, result_path):
    """In the child: runs one file (or a part of it), and writes its counts."""
    suite = unittest.defaultTestLoader.loadTestsFromName(name)
    result = unittest.TextTestRunner(verbosity=2, stream=sys.stdout, warnings="ignore").run(suite)
    bad = {str(t) for t, _ in result.failures + result.errors} | {
        str(t) for t in result.unexpectedSuccesses}
    # A part of a test (subTest) that fails is one failure of that test.
    tests = {text.split(" [")[0].split(" (watcher")[0] for text in bad}
    for text in sorted(tests):  # also of those that did not come as far as their judgement
        table.add_row("FAILED: %s" % text, 1, 0, seed=means.seed() if FIXED_SEED else None)
    with open(result_path, "w") as f:
        json.dump({"passed": max(0, result.testsRun - len(tests) - len(result.skipped)),
                   "failed": len(tests), "skipped": len(result.skipped),
                   "why": sorted({why for _, why in result.skipped})}, f)


def sweep(folder):
    """What a child that was killed has left: mounts below its folder, and the folder itself. (Its
    servers ended with it.)"""
    with open("/proc/self/mounts") as f:
        mounts = [line.split(" ")[1] for line in f]
    for path in reversed([m for m in mounts if m.startswith(folder + "/")]):
        subprocess.run(["umount", "-l", path], check=False)
    shutil.rmtree(folder, ignore_errors=True)


def scratch_folder():
    """In memory where there is much of it: what is tested here is not the speed of disks."""
    for folder in (os.environ.get("TMPDIR"), "/dev/shm", "/tmp"):
        if folder and os.path.isdir(folder) and shutil.disk_usage(folder).free > 4 << 30:
            return folder
    return None


def play(name, limit):
    """One file, with a folder of its own for all that it makes."""
    folder = tempfile.mkdtemp(prefix="larder-faults.", dir=scratch_folder())
    try:
        return children.run(__file__, name, limit, dict(os.environ, TMPDIR=folder))
    finally:
        sweep(folder)


def run_all(names, limit, total, over):
    """All files; `over` says before each whether that is enough."""
    def play_one(name):
        return None if over() else play(name, limit)

    def report(name, result):
        if result:
            children.tell(name, result, total, os.environ.get("FAULTS_VERBOSE"))
    jobs = int(os.environ.get("FAULTS_JOBS") or children.JOBS)
    alone = [n for n in names if n.split(".")[0] in ALONE]
    children.in_turns([n for n in names if n not in alone], jobs, LONG, play_one, report)
    children.in_turns(alone, 1, (), play_one, report)


def interrupted(*_):
    raise KeyboardInterrupt


def main(names):
    signal.signal(signal.SIGTERM, interrupted)
    found = sorted(os.path.basename(p)[:-3] for p in glob.glob(HERE + "/test_*.py"))
    names = names or [n for n in ORDER if n in found] + [n for n in found if n not in ORDER]
    hours = float(os.environ.get("HOURS") or 0)
    os.makedirs(ROOT + "/build", exist_ok=True)
    rows = os.environ["FAULTS_TABLE"] = ROOT + "/build/faults.rows"
    open(rows, "w").close()
    if hours:
        os.environ["FAULTS_FULL"] = "1"
    total, end = {"passed": 0, "failed": 0, "skipped": 0}, time.monotonic() + hours * 3600
    try:
        run_all(names, FULL_LIMIT if hours else SHORT_LIMIT, total, lambda: False)
        while time.monotonic() < end:
            if FIXED_SEED:
                os.environ["FAULTS_SEED"] = str(means.seed() + 1)
            run_all(names, FULL_LIMIT, total, lambda: time.monotonic() > end)
    finally:
        text = table.as_markdown(table.read_rows(rows))
        with open(ROOT + "/build/faults.md", "w") as f:
            f.write(text)
        print(text)
    print("%d skipped" % total["skipped"])
    print("faults: %d passed, %d failed" % (total["passed"], total["failed"]))
    return 1 if total["failed"] or not total["passed"] else 0


if __name__ == "__main__":
    if len(sys.argv) == 4 and sys.argv[1] == "--here":
        run_here(sys.argv[2], sys.argv[3])
    else:
        try:
            sys.exit(main(sys.argv[1:]))
        except KeyboardInterrupt:
            sys.exit(130)
