"""One damaged block in the index, and in the files that say who a volume is; while the servers run and
while they are stopped. No key goes missing silently, and everything can be had back."""
import glob
import os
import random
import shutil
import unittest

import means  # first: it says where the harness is

from damage import KINDS, damage
from history import GET, LIST, MISSING
from store import FaultTest, fetch, poll
from workload import BROKEN, NotSent


class IndexTest(FaultTest):
    """The master refuses with a message, or all that it says is true; a rebuild brings all back."""

    PARTS, KEYS = 3, 60  # several tables, and a log

    def filled_store(self):
        """With its master stopped, and a copy of its index in "good"."""
        store = self.new_store(volumes=3, master_options=["--log-level", "error"])
        client = store.new_client("one")
        for part in range(self.PARTS):
            for number in range(self.KEYS):
                client.put("/f/%d/%d" % (part, number), 200)
            store.settle()
            store.master.stop()
            client.close()
            if part + 1 < self.PARTS:
                store.master.start()
                store.wait_master_ready()
                store.volumes_up()
        shutil.copytree(store.master.dir, store.path("good"))
        return store

    @staticmethod
    def put_back(store):
        shutil.rmtree(store.master.dir, ignore_errors=True)
        shutil.copytree(store.path("good"), store.master.dir)

    def hurt(self, store, rng):
        """Damages some file of the index; a text that says what, or None where nothing changed."""
        kind = rng.choice(KINDS)
        path = rng.choice(self.files(store.master.dir, kind))
        how = damage(path, rng, kind)
        return how and "%s: %s" % (os.path.relpath(path, store.master.dir), how)

    @staticmethod
    def files(folder, kind):
        found = [p for p in glob.glob(folder + "/**", recursive=True)
                 if os.path.isfile(p) and os.path.basename(p) not in ("LOCK", "LOG", "LOG.old",
                                                                      "lock")]
        # The end of a log that is missing looks like a write that a crash cut short, to every
        # database; file systems do not lose what was synced that way.
        return sorted(p for p in found if kind != "cut"
                      or not os.path.basename(p).startswith("MANIFEST") and not p.endswith(".log"))

    def test_stopped(self):
        rounds = means.rounds(30, 400)
        rng, store = random.Random(self.seed), self.filled_store()
        refused = served = rebuilt = 0
        for _ in range(rounds):
            self.put_back(store)
            what = self.hurt(store, rng)
            if what is None:
                continue
            if self.starts(store, what):
                served += 1
                self.none_hidden(store, what)
                store.master.stop()
                continue
            refused += 1
            if rng.random() < 0.1:  # the way out that the README names
                rebuilt += 1
                store.rebuild()
                self.assertTrue(self.starts(store, "a rebuild after " + what))
                self.none_hidden(store, "a rebuild after " + what, 302)
                store.master.stop()
        self.put_back(store)
        store.master.start()
        self.end(store, "a damaged block in the index, while stopped", refused + served,
                 "%d refused at the start, %d served, %d rebuilt" % (refused, served, rebuilt))

    def test_running(self):
        """Under a client that goes on; then the master is killed. It starts and knows everything that
        was acknowledged, or it refuses and a rebuild knows it."""
        rounds = means.rounds(8, 120)
        rng, store = random.Random(self.seed), self.filled_store()
        client = store.new_client("running")
        crashed = refused = done = 0
        store.master.start()
        for number in range(rounds):
            store.wait_master_ready()
            store.volumes_up()
            self.put_some(store, client, number)
            what = self.hurt(store, rng)
            done += bool(what)
            print(number, what)
            self.put_some(store, client, number)
            for _ in range(60):
                client.get("/f/%d/%d" % (rng.randrange(self.PARTS), rng.randrange(self.KEYS)))
            self.list_all(store, client)
            client.close()
            crashed += not store.master.running()
            self.note_missing(store, what)
            self.end_master(store)
            if rng.random() < 0.5 and self.starts(store, what):
                self.none_hidden(store, what)
                self.end_master(store)
            elif store.master.process is None:
                refused += 1
            store.rebuild()
            store.master.start()
        self.end(store, "a damaged block in the index, while running", done,
                 "%d ended the master, a rebuild after each" % crashed)

    @staticmethod
    def list_all(store, client):
        """A list that comes through says the truth."""
        try:
            listed = client.list_all("/f/")
        except (NotSent, *BROKEN, ValueError):
            return
        for key in store.history.keys():
            client.note_listed(key, listed)

    @staticmethod
    def note_missing(store, what):
        """So that a complaint of the checker can be traced back to what was damaged."""
        missing = [o for key in store.history.keys() for o in store.history.by_key[key]
                   if o.op in (GET, LIST) and o.result == MISSING]
        if missing:
            store.history.complain("failures", "%d reads said 404 after damage of %s" % (
                len(missing), what))

    @staticmethod
    def put_some(store, client, number):
        for n in range(4):
            client.put("/f/%d/%d" % (number % 3, n), 300)
        client.delete("/f/%d/%d" % (number % 3, 4))
        client.put("/f/%d/%d" % (number % 3, 4), 300)

    @staticmethod
    def end_master(store):
        """However it ends: a page of a mapped file that is not there any more is a SIGBUS, and what
        matters is that a restart, or a rebuild, cures it."""
        if store.master.running():
            store.master.process.kill()
        store.master.process.wait()
        store.master.process = None

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

    def none_hidden(self, store, what, *statuses):
        """A key that is in the index must not be answered with 404; an error is right, where
        `statuses` does not say more."""
        hidden = []
        for part in range(self.PARTS):
            for number in range(self.KEYS):
                key = "/f/%d/%d" % (part, number)
                status = store.request("GET", key, follow=False).status
                if status == 404 or (statuses and status not in statuses):
                    hidden.append(key)
        store.client.close()
        if hidden:
            store.history.complain("failures", "%d keys are silently gone after damage of %s: %s" % (
                len(hidden), what, hidden[:5]))


class IdentityTest(FaultTest):
    def test_identity(self):
        """Damaged while it runs or while it is stopped: a volume that is started then refuses, or is as
        good as before; it goes on once the file is back. Readers notice nothing."""
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
            shutil.copy2(path, store.path("good"))
            if rng.random() < 0.5:
                damage(path, rng, rng.choice(KINDS))
                self.read_all(client)
                volume.stop()
            else:
                volume.stop()
                damage(path, rng, rng.choice(KINDS))
            volume.start(wait=False)
            poll("it starts or refuses", 20, lambda v=volume: self.decided(v))
            if volume.process.poll() is not None:
                self.assertGreater(volume.process.returncode, 0, volume.log_tail())
                refused, volume.process = refused + 1, None
            self.read_all(client)
            volume.stop()
            shutil.copy2(store.path("good"), path)
            volume.start()
            client.close()
            store.volumes_up()
        self.end(store, "a damaged identity file, while running or stopped", rounds,
                 "%d refused at the start" % refused)

    @staticmethod
    def read_all(client):
        """What cannot be read now is on a volume that is away, and has copies elsewhere."""
        for number in range(20):
            for _ in range(10):
                if client.get("/f/%d" % number) == 200:
                    break
                client.close()
            else:
                client.history.complain("failures", "/f/%d cannot be read" % number)

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
