"""One damaged block in values and their attributes; while the servers run and while they are stopped. No
reader gets a wrong byte, and one scrub repairs everything."""
import random
import unittest

import means  # first: it says where the harness is
from layout import file_path

from damage import KINDS, damage, damage_attribute
from store import FaultTest

KEYS = 30  # each with one bad copy, again and again
TRIES = 10


class ValueTest(FaultTest):
    def play(self, name, attribute, stopped, rounds):
        rng = random.Random(self.seed)
        store = self.new_store(volumes=3)
        client = store.new_client("one")
        for number in range(KEYS):
            # Also some larger than what a volume holds back until it has compared all of it.
            client.put("/f/%d" % number, rng.choice((300, 4000, 50000, 50000, 1500000)))
        store.settle()
        done = 0
        for begin in range(0, rounds, KEYS):
            hurts = self.plan(store, rng, attribute, min(KEYS, rounds - begin))
            if stopped:
                client.close()
                for volume in store.volumes:
                    volume.stop()
                done += sum(bool(hurt()) for hurt in hurts)
                store.start_again()
                store.wait_master_ready()
                store.volumes_up()
                for number in range(len(hurts)):
                    self.read_until_well(store, client, number, 2)
            else:
                for number, hurt in enumerate(hurts):
                    done += bool(hurt())
                    self.read_until_well(store, client, number, 4)
            self.scrub_once(store)
        client.close()
        self.end(store, name, done, "%d reads sent to another copy, %d broken off" % (
            store.history.sent_on, store.history.cut))

    def plan(self, store, rng, attribute, count):
        """What to damage, known before the volumes stop."""
        plan = []
        for number in range(count):
            key = "/f/%d" % number
            record = store.record(key)
            volume = store.volume_of(rng.choice(record["volumes"]))
            path = volume.dir + file_path(key, record["generation"])
            plan.append(lambda path=path: damage_attribute(path, rng) if attribute
                        else damage(path, rng, rng.choice(KINDS)))
        return plan

    def read_until_well(self, store, client, number, times):
        """So many good answers: what comes is whole and right, or breaks off, and then the next try
        (or one of those after it) has it."""
        good = 0
        for _ in range(TRIES):
            good += client.get("/f/%d" % number) == 200
            if good == times:
                return
        store.history.complain("failures", "/f/%d is answered well only %d of %d times" % (
            number, good, TRIES))

    def scrub_once(self, store):
        """One scrub, and what it found is repaired; a second one is not needed."""
        done = store.larder("scrub", "--wait")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        store.settle()
        self.assertEqual(store.verify(), [], "after one scrub; seed %d" % self.seed)

    def test_values_running(self):
        self.play("a damaged block in values, while running", False, False, means.rounds(60, 600))

    def test_values_stopped(self):
        self.play("a damaged block in values, while stopped", False, True, means.rounds(60, 600))

    def test_attributes_running(self):
        self.play("a damaged attribute of a value, while running", True, False,
                  means.rounds(30, 300))

    def test_attributes_stopped(self):
        self.play("a damaged attribute of a value, while stopped", True, True, means.rounds(30, 300))


if __name__ == "__main__":
    unittest.main()
