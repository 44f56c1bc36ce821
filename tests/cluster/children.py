"""Files of tests, each in a process of its own, some at a time: what the cluster tests' run.py and that
of the fault suite share. Such a process is `run.py --here NAME RESULT`; it writes its counts into RESULT.
"""
import concurrent.futures
import ctypes
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time

# Most files wait most of the time: for timers, disks and each other.
JOBS = 2 * (os.cpu_count() or 1)

_running, _lock, _ending = set(), threading.Lock(), False


def _end_with_parent():
    """Between fork and exec: SIGTERM comes when the parent's thread ends, however that happens."""
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)


def _start(argv, env):
    with _lock:  # end_all() sees either it, or that it is not to be started
        if _ending:
            raise KeyboardInterrupt
        child = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                 stderr=subprocess.STDOUT, env=env, preexec_fn=_end_with_parent)
        _running.add(child)
    return child


def _wait(child, limit):
    """What it said until its end, which comes after `limit` seconds at the latest."""
    late = b""
    try:
        return child.communicate(timeout=limit)[0]
    except subprocess.TimeoutExpired:
        late = b"\nran for more than %d s\n" % limit
    child.terminate()  # it ends its servers, and tidies up
    try:
        return child.communicate(timeout=60)[0] + late
    except subprocess.TimeoutExpired:
        child.kill()
        return child.communicate()[0] + late


def run(script, name, limit, env=None):
    """One file, in at most so many seconds: its counts, what it said, its duration in seconds."""
    began = time.monotonic()
    with tempfile.NamedTemporaryFile(prefix="larder-result.") as result:
        child = _start([sys.executable, "-B", script, "--here", name, result.name], env)
        try:
            out = _wait(child, limit)
        finally:
            with _lock:
                _running.discard(child)
        text = open(result.name).read()
    counts = json.loads(text) if text else {"passed": 0, "failed": 1, "skipped": 0}
    if child.returncode != 0 and not counts["failed"]:
        counts["failed"] = 1
    return counts, out.decode(errors="replace"), time.monotonic() - began


def end_all():
    """Ends those that run, each of which tidies up; no more are started."""
    global _ending
    with _lock:
        _ending = True
        for child in _running:
            child.terminate()


def in_turns(names, jobs, first, play, report):
    """play(name) for all of them, so many at a time, those of the files in `first` before the others;
    report(name, result) in the order of `names`."""
    def turn(name):
        stem = name.split(".")[0]
        return first.index(stem) if stem in first else len(first)

    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        try:
            running = {n: pool.submit(play, n) for n in sorted(names, key=turn)}
            for name in names:
                report(name, running[name].result())
        except BaseException:
            end_all()
            raise


def tell(name, result, total, says_all):
    """Prints how a file went, with all that it said where it failed or `says_all`; adds its counts up."""
    counts, out, seconds = result
    for what in total:
        total[what] += counts[what]
    print("%s %s: %d passed, %d failed, %d skipped (%.0f s)" % (
        "FAIL" if counts["failed"] else "ok  ", name, counts["passed"], counts["failed"],
        counts["skipped"], seconds))
    for why in counts.get("why", ()):
        print("     skipped: %s" % why)
    if counts["failed"] or says_all:
        print(out)
    sys.stdout.flush()
