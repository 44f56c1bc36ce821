"""Several masters: power loss of some or all of them, and etcd without room on its disks."""
import base64
import os
import random
import tempfile
import unittest

import means
from harness import poll
from power import disks_for
from several import SeveralTest


class PowerTest(SeveralTest):
    """What LevelDB had not written yet comes from the log again."""

    def new_several_on(self, kind):
        disks = disks_for(self, kind)
        return self.new_several(place=disks.place), disks

    def lose_power(self, kind, rounds):
        rng, (store, disks) = random.Random(self.seed), self.new_several_on(kind)
        with store.workload(self.seed, sizes=(300, 3000), weights=(1, 1), timeout=5) as load:
            for _ in range(rounds):
                load.more(rng.randrange(20, 300), 30)
                number = rng.choice((0, 1, 2, None))
                if number is None:  # all masters and volumes; what is left is etcd
                    disks.power_off(store.masters + store.volumes, rng)
                else:
                    disks.power_off([store.masters[number]], rng, ["index%d" % (number + 1)])
                store.start_again()
        self.end(store, "several masters: power loss of one, or of all and the volumes, %s" % kind,
                 rounds)

    def test_ext4(self):
        self.lose_power("ext4", means.rounds(3, 20))

    def test_xfs(self):
        self.lose_power("xfs", means.rounds(3, 20))


class FullTest(SeveralTest):
    SIZE = 200  # MiB: etcd sets 64 aside for each of its log's files

    def test_etcds_disk_full(self):
        """etcd has no more room on its disks. No write is taken and none is lost, reads of what is here
        go on, and with room all goes on by itself but for etcd, which ends and is started."""
        means.need_mounts()
        folder = tempfile.TemporaryDirectory(prefix="larder-full.")
        self.addCleanup(folder.cleanup)
        folders = {}
        for number in (1, 2, 3):
            path = folders["etcd%d" % number] = "%s/%d" % (folder.name, number)
            os.mkdir(path)
            means.run("mount", "-t", "tmpfs", "-o", "size=%dm" % self.SIZE, "none", path)
            self.addCleanup(means.run, "umount", "-l", path, check=False)
        store = self.new_several(etcd_folders={n: p + "/data" for n, p in folders.items()})
        statuses = []
        with store.workload(self.seed, sizes=(300, 3000), weights=(1, 1), timeout=5) as load:
            for _ in range(means.rounds(1, 3)):
                load.more(300)
                for path in folders.values():
                    self.fill(path)
                self.use_up(store)
                poll("no write is taken", 60, lambda: self.refused(store, statuses))
                for master in store.masters:
                    self.assertEqual(store.get_at(master, "/", "list&stale").status, 200)
                for path in folders.values():
                    os.unlink(path + "/filler")
                for etcd in store.etcds:
                    etcd.kill()
                    etcd.problems = []  # it ends where its disk is full
                store.start_again()
                poll("writes go on", 60, lambda: load.more(50, 30))
        self.end(store, "several masters: the disks of all etcd nodes full", means.rounds(1, 3),
                 "writes answered %s" % sorted(set(statuses)))

    @staticmethod
    def fill(folder):
        with open(folder + "/filler", "wb", buffering=0) as f:
            for size in (1 << 20, 4096):
                try:
                    while True:
                        f.write(b"x" * size)
                except OSError:
                    pass

    @staticmethod
    def use_up(store):
        """etcd has set room aside for its log: something else uses that up."""
        block = base64.b64encode(os.urandom(1 << 20)).decode()

        def used_up():
            try:
                store.etcd("kv/put", key=base64.b64encode(b"/filler").decode(), value=block)
            except (OSError, ValueError, StopIteration):
                pass
            return sum(e.running() for e in store.etcds) < 2
        poll("etcd ends for want of room", 60, used_up, every=0)

    @staticmethod
    def refused(store, statuses):
        """Also one that is not answered has to leave no trace; but that is the checker's matter."""
        before = len(statuses)
        for master in store.masters:
            try:
                statuses.append(store.put_at(master, "/full", b"v" * 300, timeout=5).status)
            except OSError:
                continue
        return len(statuses) - before == len(store.masters) and not {201, 204} & set(
            statuses[before:])


if __name__ == "__main__":
    unittest.main()
