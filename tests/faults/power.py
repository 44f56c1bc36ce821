"""File systems that lose their power: images on loop devices, shut down without writing anything, then
mounted again."""
import os

import means
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

    def cut(self):
        """From now on nothing reaches the disk, not even what was on its way."""
        run("xfs_io", "-x", "-c", "shutdown", self.path)

    def close(self):
        self.unmount()
        means.undo_now(self.undo)
        os.unlink(self.image)


class Disks:
    """A disk for each server; `place` goes to Store as the place of their directories."""

    def __init__(self, folder, kind):
        self.folder, self.kind, self.disks = folder, kind, {}
        os.makedirs(folder, exist_ok=True)

    def place(self, name):
        if name not in self.disks:
            self.disks[name] = Disk(self.folder, name, self.kind)
        return self.disks[name].path + "/data"

    def power_off(self, servers, rng):
        """All disks at once (in some order), then the processes, then the disks are there again."""
        disks = list(self.disks.values())
        rng.shuffle(disks)
        for disk in disks:
            disk.cut()
        for server in servers:
            if server.process is not None:
                server.process.kill()
        for server in servers:
            server.kill()
        for disk in disks:
            disk.unmount()
            disk.mount()

    def close(self):
        for disk in self.disks.values():
            disk.close()
