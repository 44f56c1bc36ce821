"""Faults in the system calls of a running process, by strace: an error, a delay, a signal, a lie."""
import os
import shutil
import signal
import subprocess
import tempfile

import means  # first: it says where the harness is
from harness import poll


class Injection:
    """`with Injection(server.process, "fsync", "error=EIO:when=2"):` Counts calls of each thread by
    itself."""

    def __init__(self, target, syscall, what, paths=()):
        self.log = tempfile.NamedTemporaryFile(prefix="larder-strace.")
        argv = [shutil.which("strace"), "-f", "-q", "-p", str(target.pid), "-o", self.log.name,
                "-e", "trace=%s" % syscall, "-e", "inject=%s:%s" % (syscall, what),
                "-e", "signal=none"]
        for path in paths:
            argv += ["-P", path]
        self.target = target
        self.process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                        stderr=subprocess.PIPE)
        self.undo = means.undo_later(self.process.kill)

    def __enter__(self):
        poll("strace holds all threads", 10, self._attached, every=0.005)
        return self

    def _attached(self):
        if self.process.poll() is None:
            return traced(self.target.pid)
        if self.target.poll() is not None:
            return True  # by a signal at a call of its own, before strace held all its threads
        raise AssertionError("strace ended: %s" % self.process.stderr.read().decode())

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)  # it lets the process go on
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stderr.close()
        self.text = open(self.log.name, errors="replace").read()
        self.log.close()
        means.undo_now(self.undo)

    def hits(self):
        """How many calls were tampered with; known once it is over."""
        return self.text.count("(INJECTED") + self.text.count("+++ killed by")


def traced(pid):
    """Whether somebody traces all threads of a process (or it is gone)."""
    try:
        for thread in os.listdir("/proc/%d/task" % pid):
            with open("/proc/%d/task/%s/status" % (pid, thread)) as f:
                if "TracerPid:\t0\n" in f.read():
                    return False
    except OSError:
        pass
    return True
