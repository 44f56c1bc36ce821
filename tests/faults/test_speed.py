"""How fast a volume is drained, beside what `cp` does with the same files, and what clients notice of
it. Everything is a ratio of two things measured in turns in one run: machines are noisy."""
import os
import shutil
import statistics
import subprocess
import tempfile
import time
import unittest

import means
import table
from store import FaultTest, fetch

MIB = 1 << 20
GET_SECONDS = 3
# What is aimed at, and what must be reached on any machine that runs these tests: half of it.
GOAL_SPEED, GOAL_SHARE = 0.6, 0.7
LEAST_SPEED, LEAST_SHARE = GOAL_SPEED / 2, GOAL_SHARE / 2
SHARES = means.rounds(1, 3)
DRAINS = 3  # an odd number: their median is one of them


def folder_size(path):
    """Files and bytes of the values below a volume's directory."""
    sizes = []
    for folder, dirs, names in os.walk(path):
        dirs[:] = [d for d in dirs if d != ".larder"]
        sizes += [os.path.getsize(os.path.join(folder, n)) for n in names]
    return len(sizes), sum(sizes)


def sync(path):
    means.run("sync", "-f", path)


class SpeedTest(FaultTest):
    def setUp(self):
        super().setUp()
        self.load_before = os.getloadavg()[0]

    def judge(self, name, rounds, figures, notes):
        """`figures`: (value, least). The table says what was asserted, and where it was not, why:
        others had the processors, of which a drain needs more than cp does."""
        busy = self.load_before > 4 * os.cpu_count()
        bad = any(value < least for value, least in figures)
        verdict = "asserted: at least %s" % " and ".join("%.2f" % least for _, least in figures)
        if bad and busy:
            verdict = "not asserted: others kept the machine busy (load %.0f)" % self.load_before
        table.add_row(name, rounds, 0 if bad else rounds, notes="%s; %s" % (notes, verdict))
        if bad and busy:
            means.skip("%s: %s" % (verdict, notes))
        for value, least in figures:
            self.assertGreaterEqual(value, least, notes)

    def loader(self, *arguments):
        program = os.environ.get("FAULTS_LOADER")
        if not program:
            means.skip("needs FAULTS_LOADER, the program of tests/cluster/loader.c")
        return subprocess.Popen([program] + [str(a) for a in arguments], stdout=subprocess.PIPE,
                                text=True)

    def load(self, *arguments):
        """Runs the loader to its end; how many requests there were. None may fail."""
        return self.loaded(self.loader(*arguments))

    def loaded(self, process):
        done, failed = map(int, process.communicate(timeout=300)[0].split())
        self.assertEqual(failed, 0)
        return done

    def cp_seconds(self, volume):
        """What cp needs to copy a volume's files beside it, durably."""
        to = volume.dir + ".copied"
        sync(volume.dir)
        began = time.monotonic()
        means.run("cp", "-a", volume.dir, to)
        sync(to)
        took = time.monotonic() - began
        shutil.rmtree(to)
        sync(volume.dir)
        return took

    def drain_seconds(self, store, volume):
        """What it takes until no key has a copy there any more."""
        sync(volume.dir)
        began = time.monotonic()
        self.assertEqual(fetch("POST", store.url + "/admin/drain", volume.url.encode()).status, 200)
        first = left = self.keys_of(store, volume)
        while left:
            # Each count goes through the whole index: the nearer the end is, the more often, or it
            # is this that is measured.
            took = time.monotonic() - began
            self.assertLess(took, 300, "%d keys are left" % left)
            time.sleep(min(max(took * left / (first - left + 1) / 2, 0.05), 0.5))
            left = self.keys_of(store, volume)
        return time.monotonic() - began

    def keys_of(self, store, volume):
        return store.admin("/admin/volume-keys?volume=" + volume.address)["keys"]

    def keep(self, store, volume):
        """Ends the draining; the volume is empty, and takes copies again."""
        answer = fetch("POST", store.url + "/admin/drain?stop", volume.url.encode())
        self.assertEqual(answer.status, 200)
        store.wait_idle(120)

    def gets(self, store, count):
        """Of clients that do nothing else, a second."""
        return self.load("get", store.url, count, GET_SECONDS, 8) / GET_SECONDS

    def measure(self, name, count, size):
        folder = tempfile.mkdtemp(prefix="larder-speed.", dir="/var/tmp")  # a disk, where there is one
        self.addCleanup(shutil.rmtree, folder, True)
        store = self.new_store(volumes=4, replicas=2, place=lambda n: os.path.join(folder, n),
                               master_options=["--grace", "0s"])
        self.assertEqual(self.load("put", store.url, count, size, 8), count)
        speeds = []
        for volume in store.volumes[:DRAINS]:
            _, bytes_there = folder_size(volume.dir)
            copied = (self.cp_seconds(volume) + self.cp_seconds(volume)) / 2
            took = self.drain_seconds(store, volume)
            self.keep(store, volume)
            speeds.append(copied / took)
            print("%s: %.1f MiB, cp %.2f s, drain %.2f s: %.2f" % (
                name, bytes_there / MIB, copied, took, speeds[-1]))
        share = statistics.median(self.share_of_clients(store, count) for _ in range(SHARES))
        speed = statistics.median(speeds)
        notes = ("median of %d drains %.2f (%s) of cp -a and sync; GETs meanwhile %.2f of their rate; "
                 "aimed at %.1f and %.1f" % (DRAINS, speed, ", ".join("%.2f" % s for s in speeds),
                                             share, GOAL_SPEED, GOAL_SHARE))
        self.judge(name, len(speeds), [(speed, LEAST_SPEED), (share, LEAST_SHARE)], notes)

    def share_of_clients(self, store, count):
        """The rate of GETs while volumes are drained one after the other, of that without."""
        before = self.gets(store, count)
        process, began = self.loader("get", store.url, count, 2 * GET_SECONDS, 8), time.monotonic()
        drained = []
        for volume in store.volumes[2:]:  # so that one is drained all the time
            if time.monotonic() - began < 2 * GET_SECONDS - 1:
                self.drain_seconds(store, volume)
                self.keep(store, volume)
                drained.append(volume)
        meanwhile = self.loaded(process) / (2 * GET_SECONDS)
        after = self.gets(store, count)
        print("GETs a second: %.0f before, %.0f meanwhile, %.0f after; %d drains" % (
            before, meanwhile, after, len(drained)))
        return meanwhile / ((before + after) / 2)

    def test_large_values(self):
        self.measure("a volume with values of 8 MiB drained", means.rounds(48, 128), 8 * MIB)

    def test_small_values(self):
        self.measure("a volume with values of 4 KiB drained", means.rounds(2000, 20000), 4096)


if __name__ == "__main__":
    unittest.main()
