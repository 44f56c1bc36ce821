"""Runs the files of tests, each in a process of its own, and counts: "cluster: N passed, N failed".

Files that measure times or memory (ALONE) run one after the other, the rest CLUSTER_JOBS at a time.
Usage: run.py [test_NAME[.CLASS[.METHOD]]]...
"""
import concurrent.futures
import ctypes
import glob
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
ALONE = {"test_05_failures", "test_09_memory", "test_12_bench"}
LIMIT = int(os.environ.get("CLUSTER_LIMIT", "900"))  # seconds for one file


def run_here(name, result_path):
    """In the child: runs one file (or a part of it), and writes its counts."""
    sys.path.insert(0, HERE)
    suite = unittest.defaultTestLoader.loadTestsFromName(name)
    result = unittest.TextTestRunner(verbosity=2, stream=sys.stdout).run(suite)
    # A class that could not be set up is one error, and none of its tests ran.
    failed = len(result.failures) + len(result.errors) + len(result.unexpectedSuccesses)
    bad_tests = sum(1 for t, _ in result.failures + result.errors
                    if isinstance(t, unittest.TestCase))
    passed = max(0, result.testsRun - bad_tests - len(result.skipped))
    with open(result_path, "w") as f:
        json.dump({"passed": passed, "failed": failed, "skipped": len(result.skipped)}, f)


def end_with_parent():
    """Between fork and exec: SIGTERM comes when the parent ends, however that happens."""
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)


def run_child(name):
    """In the parent: one file in a process of its own; its counts, output and duration."""
    began = time.monotonic()
    with tempfile.NamedTemporaryFile(prefix="larder-result.") as result:
        child = subprocess.Popen([sys.executable, "-B", __file__, "--here", name, result.name],
                                 stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                 stderr=subprocess.STDOUT, preexec_fn=end_with_parent)
        try:
            out, _ = child.communicate(timeout=LIMIT)
        except subprocess.TimeoutExpired:
            child.terminate()  # the harness ends its servers on SIGTERM
            try:
                out, _ = child.communicate(timeout=30)
            except subprocess.TimeoutExpired:
                child.kill()
                out, _ = child.communicate()
            out += b"\nran for more than %d s\n" % LIMIT
        text = open(result.name).read()
    counts = json.loads(text) if text else {"passed": 0, "failed": 1, "skipped": 0}
    if child.returncode != 0 and not counts["failed"]:
        counts["failed"] = 1
    return name, counts, out.decode(errors="replace"), time.monotonic() - began


def main(names):
    if not names:
        names = sorted(os.path.basename(p)[:-3] for p in glob.glob(HERE + "/test_*.py"))
    jobs = max(1, int(os.environ.get("CLUSTER_JOBS", "2")))
    total = {"passed": 0, "failed": 0, "skipped": 0}

    def report(done):
        name, counts, out, seconds = done
        for what in total:
            total[what] += counts[what]
        bad = counts["failed"] > 0
        print("%s %s: %d passed, %d failed, %d skipped (%.0f s)" % (
            "FAIL" if bad else "ok  ", name, counts["passed"], counts["failed"],
            counts["skipped"], seconds))
        if bad or os.environ.get("CLUSTER_VERBOSE"):
            print(out)
        sys.stdout.flush()

    together = [n for n in names if n.split(".")[0] not in ALONE]
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        for future in [pool.submit(run_child, n) for n in together]:
            report(future.result())
    for name in names:
        if name not in together:
            report(run_child(name))
    print("cluster: %d passed, %d failed" % (total["passed"], total["failed"]))
    return 1 if total["failed"] or not total["passed"] else 0


if __name__ == "__main__":
    if len(sys.argv) == 4 and sys.argv[1] == "--here":
        run_here(sys.argv[2], sys.argv[3])
    else:
        sys.exit(main(sys.argv[1:]))
