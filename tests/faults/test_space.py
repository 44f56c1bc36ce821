"""Full disks, no inodes, read-only disks, few descriptors, little memory, small files only."""
import os
import random
import tempfile
import unittest

import means
from means import run
from store import FaultTest, poll


class TinyDisks:
    """A tmpfs for each server that is named, or for a subvolume of one ("volume1/sv00"); the others
    are where the store is."""

    def __init__(self, folder, sizes):
        self.folder, self.sizes, self.undo = folder, sizes, []

    def place(self, name):
        path = os.path.join(self.folder, name)
        if not os.path.isdir(path):
            os.makedirs(path)
            for disk, options in self.sizes.items():
                if disk.split("/")[0] == name:
                    self.mount(self.mounted_at(disk), options)
        return path + "/data"

    def mounted_at(self, disk):
        """The subvolumes are in the server's directory; the whole of it is on its disk."""
        name, _, subvolume = disk.partition("/")
        return os.path.join(self.folder, name, "data/" + subvolume if subvolume else "")

    def mount(self, path, options):
        os.makedirs(path, exist_ok=True)
        run("mount", "-t", "tmpfs", "-o", options, "none", path)
        self.undo.append(means.undo_later(run, "umount", "-l", path))

    def turn(self, disk, how):
        """Read-only or back; False where a file that is open for writing forbids it."""
        return means.works("mount", "-o", "remount," + how, self.mounted_at(disk))

    def close(self):
        for undo in self.undo:
            means.undo_now(undo)


class SpaceTest(FaultTest):
    def tiny_store(self, sizes, **options):
        means.need_mounts()
        folder = tempfile.TemporaryDirectory(prefix="larder-space.")
        self.addCleanup(folder.cleanup)
        disks = TinyDisks(folder.name, sizes)
        self.addCleanup(disks.close)
        return self.new_store(place=disks.place, **options), disks

    def fill_and_free(self, store, rounds, small):
        """Writes until nothing more goes in, reads and deletes, until it goes in again."""
        rng, client = random.Random(self.seed), store.new_client("filler")
        refused = 0
        for number in range(rounds):
            keys = []
            for n in range(400):
                key = "/f/%d/%d" % (number, n)
                status = client.put(key, 200 if small else rng.choice((40000, 250000)))
                keys.append(key)
                if status != 201:
                    refused += 1
                    self.assertIn(status, (503, 507))
                    if refused % 5 == 0:
                        break
            for key in keys:
                client.get(key, must=True)
            for key in keys:
                poll("%s can be deleted" % key, 20,
                     lambda k=key: client.delete(k) in (204, 404), every=0.05)
            poll("there is room again", 30,
                 lambda: client.put("/f/room", 200 if small else 40000) == 201, every=0.2)
        client.close()
        return refused

    def test_full_volumes(self):
        rounds = means.rounds(2, 20)
        store, _ = self.tiny_store({"volume%d" % n: "size=12m" for n in (1, 2, 3)},
                                   volume_options=["--reserve", "256k"])
        refused = self.fill_and_free(store, rounds, False)
        self.end(store, "all volumes full, and freed again", rounds, "%d PUTs refused" % refused)

    def test_no_inodes(self):
        rounds = means.rounds(2, 20)
        store, _ = self.tiny_store({"volume%d" % n: "size=50m,nr_inodes=300" for n in (1, 2, 3)},
                                   volume_options=["--reserve", "256k"])
        refused = self.fill_and_free(store, rounds, True)
        self.end(store, "no inodes left on the volumes, and freed again", rounds,
                 "%d PUTs refused" % refused)

    def test_full_index(self):
        """The index's disk is full of something else, then it is not."""
        rounds = means.rounds(2, 20)
        store, _ = self.tiny_store({"index": "size=24m"}, master_options=["--reserve", "4m"])
        client, refused = store.new_client("one"), 0
        filler = os.path.join(os.path.dirname(store.master.dir), "filler")
        for number in range(rounds):
            for n in range(20):
                client.put("/f/%d/%d" % (number, n), 300)
            with open(filler, "wb") as f:
                try:
                    f.write(b"x" * (30 << 20))
                except OSError:
                    pass
            for n in range(20, 30):
                refused += client.put("/f/%d/%d" % (number, n), 300) == 507
            for n in range(20):
                client.get("/f/%d/%d" % (number, n), must=True)
            if number % 2:
                store.master.kill()  # and it starts on a full disk, or says why it does not
                os.unlink(filler)
                store.master.start()
            else:
                os.unlink(filler)
            poll("writes are taken again", 30, lambda: client.put("/f/again", 300) == 201, every=0.2)
        client.close()
        self.assertGreater(refused, 0)
        self.end(store, "the index's disk full, and freed again", rounds, "%d PUTs refused" % refused)

    def test_read_only(self):
        rounds = means.rounds(3, 20)
        names = ("volume1/sv00", "volume2/sv01")
        store, disks = self.tiny_store(dict.fromkeys(names, "size=50m"), volumes=4, subvolumes=2)
        rng = random.Random(self.seed)
        with store.workload(self.seed, sizes=(300, 20000), weights=(1, 1)) as load:
            for _ in range(rounds):
                load.more(50)
                disk = rng.choice(names)
                poll("the disk turns read-only", 20, lambda d=disk: disks.turn(d, "ro"), every=0.001)
                load.more(100)
                disks.turn(disk, "rw")
        self.end(store, "a disk of a volume remounted read-only, and back", rounds)


class LimitTest(FaultTest):
    def limited(self, store, server, option):
        server.stop()
        server.argv = ["prlimit", option] + server.argv
        server.start()

    def play(self, name, option, servers_of, sizes):
        means.need_tools("prlimit")
        changes = means.rounds(60, 3000)
        store = self.new_store(volumes=4)
        limited = servers_of(store)
        for server in limited:
            self.limited(store, server, option)
        store.wait_master_ready()
        with store.workload(self.seed, workers=12, sizes=sizes, weights=(3, 2, 1),
                            timeout=5) as load:
            load.more(changes, 15)
        done = store.history.acknowledged
        for server in limited:
            self.assertTrue(server.running(), "%s ended:\n%s" % (server.name, server.log_tail()))
            server.stop()
            server.argv = server.argv[2:]
            server.start()
        self.end(store, name, done)
        self.assertGreater(done, 20)  # it is slow then, but it goes on

    def test_few_descriptors_volume(self):
        self.play("volumes with 32 descriptors", "--nofile=32", lambda s: s.volumes[:2],
                  (300, 5000, 80000))

    def test_few_descriptors_master(self):
        self.play("a master with 48 descriptors", "--nofile=48", lambda s: [s.master],
                  (300, 5000, 80000))

    def test_small_files(self):
        """Writes that are short, then fail (EFBIG), on two of four volumes."""
        self.play("volumes whose files may have 64 KiB", "--fsize=65536", lambda s: s.volumes[:2],
                  (300, 60000, 400000))

    def test_little_memory(self):
        """A memory cgroup of 24 MiB for each server, one for all volumes."""
        means.need_root()
        root = "/sys/fs/cgroup/memory"
        if not os.path.exists(root + "/memory.limit_in_bytes"):
            means.skip("needs the memory cgroup (v1)")
        changes = means.rounds(100, 2000)
        # Not on a tmpfs, whose files are memory of whoever writes them.
        folder = tempfile.TemporaryDirectory(prefix="larder-space.", dir="/var/tmp")
        self.addCleanup(folder.cleanup)
        store = self.new_store(place=lambda name: os.path.join(folder.name, name))
        for name, servers in (("volumes", store.volumes), ("master", [store.master])):
            group = "%s/larder-faults-%d-%s" % (root, os.getpid(), name)
            os.mkdir(group)
            self.addCleanup(lambda u=means.undo_later(self.remove, root, group): means.undo_now(u))
            with open(group + "/memory.limit_in_bytes", "w") as f:
                f.write(str(len(servers) * (24 << 20)))
            for server in servers:
                with open(group + "/cgroup.procs", "w") as f:
                    f.write(str(server.pid))
        sizes = (5000, 400000, 4000000)
        with store.workload(self.seed, workers=8, keys=20, sizes=sizes, weights=(3, 2, 1)) as load:
            load.more(changes, 60)
        done = store.history.acknowledged
        for server in store.servers():
            self.assertTrue(server.running(), "%s ended:\n%s" % (server.name, server.log_tail()))
        self.end(store, "24 MiB of memory for each server", done)

    @staticmethod
    def remove(root, group):
        with open(group + "/cgroup.procs") as f:
            for pid in f.read().split():
                with open(root + "/cgroup.procs", "w") as to:
                    to.write(pid)
        os.rmdir(group)


if __name__ == "__main__":
    unittest.main()
