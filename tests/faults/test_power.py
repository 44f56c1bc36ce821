"""Power loss of the machine with the index and all volumes, on ext4 and XFS."""
import random
import time
import unittest

import means
from power import disks_for
from store import FaultTest


class PowerTest(FaultTest):
    def new_store_on(self, kind, **options):
        disks = disks_for(self, kind)
        return self.new_store(place=disks.place, **options), disks

    def power_off(self, store, disks, rng):
        disks.power_off(store.servers(), rng)
        store.start_again()

    def lose_power(self, kind, rounds):
        rng = random.Random(self.seed)
        store, disks = self.new_store_on(kind)
        # The largest go past the page cache.
        small = dict(sizes=(200, 1000, 20000, 200000, 1500000), weights=(10, 10, 4, 2, 2))
        with store.workload(self.seed, **small) as load:
            for number in range(rounds):
                load.more(rng.randrange(1, 60))
                time.sleep(rng.random() * 0.02)
                self.power_off(store, disks, rng)
        self.end(store, "power loss under writers, %s" % kind, rounds)

    def after_the_last_word(self, kind, rounds):
        """One client, and the power goes with its last answer: nothing later can have flushed what
        was forgotten."""
        rng = random.Random(self.seed)
        store, disks = self.new_store_on(kind)
        client = store.new_client("one")
        for number in range(rounds):
            for n in range(rng.randrange(1, 4)):
                client.put("/f/%d/%d" % (number, n), rng.choice((200, 5000, 300000, 1500000)))
            if number % 3 == 2:
                client.put("/f/%d/0" % (number - 1), 700)  # overwritten
                client.delete("/f/%d/0" % (number - 2))
            self.power_off(store, disks, rng)
            client.close()
            store.wait_master_ready()
            store.volumes_up()
            for back in range(max(0, number - 2), number + 1):
                client.get("/f/%d/0" % back, must=True)
        client.close()
        self.end(store, "power loss with the last answer, %s" % kind, rounds)

    def test_ext4(self):
        self.lose_power("ext4", means.rounds(5, 40))

    def test_xfs(self):
        self.lose_power("xfs", means.rounds(5, 40))

    def test_last_word_ext4(self):
        self.after_the_last_word("ext4", means.rounds(3, 12))

    def test_last_word_xfs(self):
        self.after_the_last_word("xfs", means.rounds(3, 12))


if __name__ == "__main__":
    unittest.main()
