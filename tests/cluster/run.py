"""Runs the files of tests, each in a process of its own, and counts: "cluster: N passed, N failed".

Files that measure times or memory (ALONE) run one after the other, the rest CLUSTER_JOBS at a time:
they wait for timers, disks and each other most of the time.
Usage: run.py [test_NAME[.CLASS[.METHOD]]]...
"""
import glob
import json
import os
import sys
import unittest

import children

HERE = os.path.dirname(os.path.abspath(__file__))
ALONE = {"test_05_latency", "test_09_memory", "test_12_standstill"}
# Those that take longest begin first, so that none of them goes on when all the others are over.
LONG = ("test_14_masters", "test_11_healing", "test_15_members", "test_13_restored", "test_08_tools")
LIMIT = int(os.environ.get("CLUSTER_LIMIT", "900"))  # seconds for one file


def run_here(name, result_path):
    """In the child: runs one file (or a part of it), and writes its counts."""
    suite = unittest.defaultTestLoader.loadTestsFromName(name)
    result = unittest.TextTestRunner(verbosity=2, stream=sys.stdout).run(suite)
    # A class that could not be set up is one error, and none of its tests ran.
    failed = len(result.failures) + len(result.errors) + len(result.unexpectedSuccesses)
    bad_tests = sum(1 for t, _ in result.failures + result.errors
                    if isinstance(t, unittest.TestCase))
    passed = max(0, result.testsRun - bad_tests - len(result.skipped))
    with open(result_path, "w") as f:
        json.dump({"passed": passed, "failed": failed, "skipped": len(result.skipped)}, f)


def main(names):
    if not names:
        names = sorted(os.path.basename(p)[:-3] for p in glob.glob(HERE + "/test_*.py"))
    jobs = int(os.environ.get("CLUSTER_JOBS") or children.JOBS)
    total = {"passed": 0, "failed": 0, "skipped": 0}

    def play(name):
        return children.run(__file__, name, LIMIT)

    def report(name, result):
        children.tell(name, result, total, os.environ.get("CLUSTER_VERBOSE"))
    alone = [n for n in names if n.split(".")[0] in ALONE]
    children.in_turns([n for n in names if n not in alone], jobs, LONG, play, report)
    children.in_turns(alone, 1, (), play, report)
    print("cluster: %d passed, %d failed" % (total["passed"], total["failed"]))
    return 1 if total["failed"] or not total["passed"] else 0


if __name__ == "__main__":
    if len(sys.argv) == 4 and sys.argv[1] == "--here":
        run_here(sys.argv[2], sys.argv[3])
    else:
        sys.exit(main(sys.argv[1:]))
