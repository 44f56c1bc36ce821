"""File systems that lose their power: images on loop devices, shut down without writing anything, then
mounted again."""
import os
import tempfile

import means  # first: it says where the harness is
from harness import poll
from means import run

# XFS makes none below 300 MB; the images are sparse.
FORMATS = {"ext4": ("64M", ["mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=1"]),
           "xfs": ("320M", ["mkfs.xfs", "-q", "-f"])}


class Disk:
    """One file system at `path`."""

    def __init__(self, folder, name, kind):
        self.kind, self.path = kind, os.path.join(folder, name)
        self.image = self.path + ".image"
        size, make = FORMATS[kind]
        run("truncate", "-s", size, self.image)
        run(*make, self.image)
        os.makedirs(self.path)
        self.undo = means.undo_later(self.unmount)
        self.mount()

    def mount(self):
        run("mount", "-o", "loop", self.image, self.path)

    def is_mounted(self):
        # os.path.ismount() is of no use: a disk without power answers EIO.
        with open("/proc/self/mounts") as f:
            return any(line.split(" ")[1] == self.path for line in f)

    def unmount(self):
        if self.is_mounted():
            run("umount", self.path)

    def mount_again(self):
        """After cut(). While anything else holds a mount of it (a process that has just made a mount
        namespace has copies of all), it stays the file system that was shut down."""
        def works():
            self.unmount()
            self.mount()
            try:
                with open(os.path.join(self.path, "probe"), "w"):
                    pass
                os.unlink(os.path.join(self.path, "probe"))
            except OSError:
                return False
            return True
        poll("%s is there again" % self.path, 20, works, 0.05)

    def cut(self):
        """From now on nothing reaches the disk, not even what was on its way."""
        run("xfs_io", "-x", "-c", "shutdown", self.path)

    def close(self):
        self.unmount()
        means.undo_now(self.undo)
        os.unlink(self.image)


def stands_still(pid):
    """True where no thread of a stopped process runs any more (or the process has ended)."""
    try:
        for thread in os.listdir("/proc/%d/task" % pid):
            with open("/proc/%d/task/%s/stat" % (pid, thread)) as f:
                if f.read().rpartition(")")[2].split()[0] in "RSD":
                    return False
    except OSError:
        pass
    return True


class Disks:
    """A disk for each server; `place` goes to Store as the place of their directories."""

    def __init__(self, folder, kind):
        self.folder, self.kind, self.disks = folder, kind, {}
        os.makedirs(folder, exist_ok=True)

    def place(self, name):
        if name not in self.disks:
            self.disks[name] = Disk(self.folder, name, self.kind)
        return self.disks[name].path + "/data"

    def power_off(self, servers, rng, names=None):
        """The processors stop, then the disks (all of them, or those that `names` has), then the
        processes are gone and the disks come back.

        The processes must stand still first: a sync that is under way when a file system is shut
        down may say that it succeeded (seen with ext4 and XFS), and in a real power loss nobody
        would be left to hear it."""
        alive = [s for s in servers if s.process is not None]
        for server in alive:
            server.pause()
        for server in alive:
            poll("%s stands still" % server.name, 10, lambda s=server: stands_still(s.pid), 0.001)
        disks = [d for name, d in self.disks.items() if names is None or name in names]
        rng.shuffle(disks)
        for disk in disks:
            disk.cut()
        for server in alive:
            server.process.kill()
        for server in alive:
            server.kill()
        for disk in disks:
            disk.mount_again()

    def close(self):
        for disk in self.disks.values():
            disk.close()


def disks_for(test, kind):
    """Disks for the servers of a test, which is skipped where there can be none; gone at its end."""
    means.need_loop_devices()
    means.need_tools("mkfs." + kind)
    folder = tempfile.TemporaryDirectory(prefix="larder-power.")
    test.addCleanup(folder.cleanup)
    disks = Disks(folder.name, kind)
    test.addCleanup(disks.close)
    return disks
