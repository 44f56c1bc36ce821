"""A volume is away during deletes and overwrites and comes back, also to an index made anew."""
import random
import shutil
import unittest

import means
from store import FaultTest


class AwayTest(FaultTest):
    def round(self, store, rng, client, number):
        """Writes, takes a volume away, changes everything, and brings it back."""
        keys = ["/f/%d/%d" % (number, n) for n in range(8)]
        for key in keys:
            client.put(key, rng.choice((200, 3000, 70000)))
        away = rng.choice(store.volumes)
        away.kill() if rng.random() < 0.5 else away.stop()
        for key in keys[:3]:
            self.until(client.delete, key)
        for key in keys[3:6]:
            self.until(client.put, key, 500)
        self.until(client.delete, keys[5])
        self.until(client.put, keys[2], 800)  # deleted, and there again
        return away, keys

    def until(self, action, *arguments):
        """A first try may meet the volume that has just gone."""
        for _ in range(20):
            if action(*arguments) in (201, 204, 404):
                return

    def rebuild(self, store):
        """The index is lost; a new one is made from the volumes."""
        store.master.stop()
        shutil.rmtree(store.master.dir)
        store.rebuild()
        store.master.start()
        store.wait_master_ready()

    def play(self, name, rounds, rebuilds):
        rng = random.Random(self.seed)
        store = self.new_store(volumes=3, replicas=2)
        client = store.new_client("one")
        for number in range(rounds):
            away, keys = self.round(store, rng, client, number)
            if rebuilds == "at once":
                # The index goes before the volume is back: only tombstones know of the deletions.
                store.master.kill()
                away.start()
                self.rebuild(store)
            else:
                away.start()
                if rebuilds:
                    store.settle()
                    self.rebuild(store)
            client.close()
            store.wait_master_ready()
            store.volumes_up()
            for key in keys:
                client.get(key, must=True)
        client.close()
        self.end(store, name, rounds)

    def test_back(self):
        self.play("a volume away during deletes and overwrites", means.rounds(4, 40), None)

    def test_back_then_rebuild(self):
        self.play("the same, then the index is made anew", means.rounds(3, 30), "settled")

    def test_rebuild_at_once(self):
        self.play("the index is lost while a volume is away", means.rounds(3, 30), "at once")


if __name__ == "__main__":
    unittest.main()
