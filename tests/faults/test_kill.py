"""kill -9 of the master, of volumes and of all of them at random moments under writers."""
import glob
import random
import time
import unittest

import means
from inject import Injection
from store import FaultTest


class KillTest(FaultTest):
    def kill_rounds(self, store, rng, rounds, load, most):
        for _ in range(rounds):
            if not load.more(rng.randrange(1, most)):
                break
            victims = rng.choice(([store.master], [rng.choice(store.volumes)], store.servers(),
                                  rng.sample(store.servers(), 2)))
            time.sleep(rng.random() * 0.02)  # not always just after an acknowledgement
            for victim in victims:
                victim.process.kill()
            for victim in victims:
                victim.kill()
            time.sleep(rng.random() * 0.1)
            store.start_again()

    def test_random(self):
        rounds = means.rounds(16, 200)
        rng, store = random.Random(self.seed), self.new_store(volumes=4)
        with store.workload(self.seed) as load:
            self.kill_rounds(store, rng, rounds, load, means.rounds(200, 1000))
        self.end(store, "kill -9 of master, volumes, several, all", rounds)

    def test_without_overwrite(self):
        rounds = means.rounds(6, 50)
        rng, store = random.Random(self.seed), self.new_store(volumes=4, overwrite=False)
        with store.workload(self.seed, deletes=0.3) as load:
            self.kill_rounds(store, rng, rounds, load, means.rounds(100, 500))
        self.end(store, "the same without --overwrite", rounds)

    def test_slow_index(self):
        """Writes of the index take long, and the master is killed in the midst of them: what has not
        been written must not have been acknowledged."""
        means.need_strace()
        rounds = means.rounds(3, 20)
        rng, store = random.Random(self.seed), self.new_store(plain=True)
        for number in range(rounds):
            logs = glob.glob(store.master.dir + "/**/*.log", recursive=True)
            with store.workload(self.seed + number, workers=4, sizes=(300, 3000), weights=(1, 1)):
                with Injection(store.master.process, "write", "delay_enter=60ms", logs):
                    time.sleep(0.3 + rng.random() * 0.5)
                    store.master.process.kill()
                store.master.kill()
                store.start_again()
        self.end(store, "kill -9 of a master whose index writes are slow", rounds)


if __name__ == "__main__":
    unittest.main()
