"""One damaged block in the index, and in the files that say who a volume is; while the servers run and
while they are stopped. No key goes missing silently, and everything can be had back."""
import glob
import os
import random
import shutil
import unittest

import means  # first: it says where the harness is

from damage import KINDS, damage
from store import FaultTest, fetch, poll


class IndexTest(FaultTest):
    """The index, on copies of it: the master refuses with a message, or all that it says is true."""

    def files(self, folder, kind):
        found = [p for p in glob.glob(folder + "/**", recursive=True)
                 if os.path.isfile(p) and os.path.basename(p) not in ("LOCK", "LOG", "LOG.old",
                                                                      "lock")]
        # The end of a log that is missing looks like a write that a crash cut short, to every
        # database; file systems do not lose what was synced that way.
        return sorted(p for p in found if kind != "cut"
                      or not os.path.basename(p).startswith("MANIFEST") and not p.endswith(".log"))

    def test_index(self):
        rounds = means.rounds(30, 400)
        rng = random.Random(self.seed)
        store = self.new_store(volumes=3, master_options=["--log-level", "error"])
        client = store.new_client("one")
        for part in range(3):  # several tables, and a log
            for number in range(60):
                client.put("/f/%d/%d" % (part, number), 200)
            if part < 2:
                store.settle()
                store.master.stop()
                store.master.start()
                store.wait_master_ready()
                store.volumes_up()
                client.close()
        store.settle()
        store.master.stop()
        good = store.path("good")
        shutil.copytree(store.master.dir, good)
        refused = served = 0
        silent = []
        for _ in range(rounds):
            shutil.rmtree(store.master.dir)
            shutil.copytree(good, store.master.dir)
            kind = rng.choice(KINDS)
            path = rng.choice(self.files(store.master.dir, kind))
            how = damage(path, rng, kind)
            if how is None:
                continue
            what = "%s: %s" % (os.path.relpath(path, store.master.dir), how)
            if self.starts(store, what):
                served += 1
                silent += self.read_all(store, rng, what)
                store.master.stop()
            else:
                refused += 1
        client.close()
        shutil.rmtree(store.master.dir)
        shutil.copytree(good, store.master.dir)
        store.master.start()
        store.history.failures += silent
        self.end(store, "a damaged block in the index", refused + served,
                 "%d refused at the start, %d served, %d hid keys" % (refused, served, len(silent)))

    def starts(self, store, what):
        store.master.start(wait=False)

        def decided():
            if store.master.process.poll() is not None:
                return "ended"
            try:
                return store.request("GET", "/f/0/0", follow=False).status
            except OSError:
                store.client.close()
                return None
        if poll("the master starts or refuses", 20, decided) != "ended":
            return True
        code, store.master.process = store.master.process.returncode, None
        self.assertGreater(code, 0, "the master was ended by a signal after damage of %s:\n%s" % (
            what, store.master.log_tail()))
        return False

    def read_all(self, store, rng, what):
        """A key that is in the index must not be answered with 404; an error is right."""
        hidden = 0
        for part in range(3):
            for number in range(60):
                answer = store.request("GET", "/f/%d/%d" % (part, number), follow=False)
                hidden += answer.status == 404
        store.client.close()
        return ["%d keys are silently gone after damage of %s" % (hidden, what)] if hidden else []


class IdentityTest(FaultTest):
    def test_identity(self):
        """Damaged files of identity: the server refuses them, and goes on once they are back."""
        rng = random.Random(self.seed)
        store = self.new_store(volumes=3, subvolumes=2)
        client = store.new_client("one")
        for number in range(20):
            client.put("/f/%d" % number, 300)
        store.settle()
        rounds = means.rounds(12, 120)
        refused = 0
        for _ in range(rounds):
            volume = rng.choice(store.volumes)
            files = glob.glob(volume.dir + "/.larder/**", recursive=True, include_hidden=True)
            files += glob.glob(volume.dir + "/sv*/.larder/id")
            path = rng.choice([f for f in files if os.path.isfile(f) and not f.endswith("lock")])
            volume.stop()
            shutil.copy2(path, store.path("good"))
            damage(path, rng, rng.choice(KINDS))
            volume.start(wait=False)
            poll("it starts or refuses", 20, lambda v=volume: self.decided(v))
            if volume.process.poll() is not None:
                self.assertGreater(volume.process.returncode, 0, volume.log_tail())
                refused, volume.process = refused + 1, None
            for number in range(20):
                client.get("/f/%d" % number)
            volume.stop()
            shutil.copy2(store.path("good"), path)
            volume.start()
            client.close()
            store.volumes_up()
        self.end(store, "a damaged identity file", rounds, "%d refused at the start" % refused)

    @staticmethod
    def decided(volume):
        if volume.process.poll() is not None:
            return True
        try:
            return fetch("GET", volume.url + "/admin/health").status == 200
        except OSError:
            return False


if __name__ == "__main__":
    unittest.main()
