"""What this machine allows; a test whose means are missing is skipped and says why. And what must be
undone however a test ends: mounts, loop devices, namespaces, cgroups."""
import atexit
import os
import shutil
import subprocess
import sys
import unittest

# The harness of the cluster tests is used here, too.
sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))),
                                "cluster"))
_undo = []  # (callable, arguments), the last first
os.environ["PATH"] += ":/usr/sbin:/sbin"


def undo_later(action, *arguments):
    """To be done at the end of this process; returns a handle for undo_now()."""
    entry = (action, arguments)
    _undo.append(entry)
    return entry


def undo_now(entry):
    if entry in _undo:
        _undo.remove(entry)
        entry[0](*entry[1])


def _undo_all():
    while _undo:
        action, arguments = _undo.pop()
        try:
            action(*arguments)
        except Exception as e:  # the others still have to be undone
            print("while cleaning up: %r" % e)


atexit.register(_undo_all)


def run(*argv, check=True, data=None):
    """Runs a command; its output as text. Where it fails, what it said is in the error."""
    done = subprocess.run(argv, input=data, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, timeout=120)
    if check and done.returncode:
        raise AssertionError("%s: exit status %d: %s" % (" ".join(argv), done.returncode,
                                                        done.stdout.strip()))
    return done.stdout


def works(*argv):
    """Whether a command can be run with success."""
    try:
        return subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL, timeout=60).returncode == 0
    except OSError:
        return False


def skip(why):
    raise unittest.SkipTest(why)


def need_root():
    if os.getuid() != 0:
        skip("needs root")


def need_tools(*names):
    for name in names:
        if not shutil.which(name):
            skip("needs the program %s" % name)


def need_mounts():
    need_root()
    if not works("unshare", "-m", "mount", "-t", "tmpfs", "-o", "size=1m", "none", "/mnt"):
        skip("needs mount(2), which is not allowed here")


def need_loop_devices():
    need_mounts()
    need_tools("losetup", "xfs_io")
    if not works("losetup", "-f"):
        skip("needs a free loop device")


def need_strace():
    need_tools("strace")
    if not works("strace", "-o", "/dev/null", "-e", "inject=fsync:error=EIO", "true"):
        skip("needs strace that may trace processes and inject errors")


def need_namespaces():
    need_root()
    need_tools("ip", "nft")
    if not works("unshare", "-n", "nft", "add table inet probe"):
        skip("needs network namespaces with nftables")


def seed():
    """The seed of this run: FAULTS_SEED repeats one."""
    return int(os.environ.get("FAULTS_SEED") or int.from_bytes(os.urandom(4), "little"))


def rounds(short, full):
    """How many rounds: `short` in the short form, `full` in the soak (FAULTS_FULL)."""
    return full if os.environ.get("FAULTS_FULL") else short


def until_enough(things, planned, enough):
    """The first `planned` of the things, and more of them for as long as enough() says no: each with
    its number."""
    for number, thing in enumerate(things):
        if number >= planned and enough():
            return
        yield number, thing
