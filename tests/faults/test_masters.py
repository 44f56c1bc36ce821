"""Several masters: writers killed and frozen under load, etcd nodes killed, networks that part them."""
import random
import time
import unittest

import checker
import means
from harness import poll
from network import Hosts
from several import SeveralTest

TTL = 3
LINKS = ("drop-in", "drop-out", "reset", "loss", "both", "flapping")


class WriterTest(SeveralTest):
    def outage(self, store, rng, victim):
        """Freezes or kills the writer until another one writes; seconds that took."""
        frozen = rng.random() < 0.5
        began = time.monotonic()
        if frozen:
            victim.pause()
        else:
            victim.process.kill()
            victim.kill()

        def others_write():
            for master in store.masters:
                state = store.state(master) if master is not victim and master.running() else None
                if state and state["role"] == "writer":
                    return True
            return False
        poll("another master writes", 30, others_write)
        took = time.monotonic() - began
        if frozen:
            time.sleep(rng.random())
            victim.resume()
            # It has no term any more, so whatever it is asked, it answers no write.
            answer = store.put_at(victim, "/woken", "by the old one", follow=False)
            self.assertIn(answer.status, (307, 503))
        return took

    def test_writers(self):
        rounds = means.rounds(4, 50)
        rng, store = random.Random(self.seed), self.new_several()
        times = []
        with store.workload(self.seed, sizes=(300, 3000), weights=(1, 1), timeout=5) as load:
            for _ in range(rounds):
                load.more(rng.randrange(20, 200), 30)
                time.sleep(rng.random() * 0.1)
                times.append(self.outage(store, rng, store.writer(60)))
                store.start_again()
        times.sort()
        self.end(store, "several masters: the writer killed, or frozen and woken", rounds,
                 "writes again after %.1f s (median %.1f)" % (times[-1], times[len(times) // 2]))
        self.assertLess(times[-1], TTL + 2)

    def test_everything(self):
        """Masters, etcd nodes and volumes, one, some, all of them."""
        rounds = means.rounds(4, 50)
        rng, store = random.Random(self.seed), self.new_several()
        with store.workload(self.seed, sizes=(300, 3000), weights=(1, 1), timeout=5) as load:
            for _ in range(rounds):
                load.more(rng.randrange(1, 200), 30)
                servers = store.masters + store.etcds + store.volumes
                for victim in rng.sample(servers, rng.choice((1, 2, 3, len(servers)))):
                    victim.process.kill()
                    victim.kill()
                time.sleep(rng.random() * 0.5)
                store.start_again()
        self.end(store, "several masters: kill -9 of masters, etcd nodes, volumes, all", rounds)


class BlindTest(SeveralTest):
    def test_stale_reads_are_seen(self):
        """The checker is not blind: reads that ask no etcd are not linearizable, and it says so."""
        store = self.new_several(master_options=["--stale-reads"])
        client = store.new_client("one")
        for number in range(means.rounds(150, 1000)):
            client.put("/f/%d" % (number % 5), 300)
            client.get("/f/%d" % (number % 5))
        client.close()
        complaints = checker.check(store.history)
        self.assertTrue(any("no order explains" in c for c in complaints), complaints)


class PartitionTest(SeveralTest):
    def test_parted(self):
        """A master, an etcd node or both cut off: in one direction, both, with resets, loss, now and
        then. A history each."""
        means.need_namespaces()
        histories, seconds = means.rounds(2, 20), means.rounds(12, 60)
        rng = random.Random(self.seed)
        for number in range(histories):
            hosts = Hosts()
            store = self.new_several(hosts=hosts)
            self.history_of(store, hosts, rng, seconds)
            self.end(store, "several masters: masters and etcd nodes cut off (history %d)" % number,
                     1, "%d s" % seconds)
            store.close(False)
            hosts.close()

    def history_of(self, store, hosts, rng, seconds):
        until = time.monotonic() + seconds
        with store.workload(self.seed, sizes=(300, 3000), weights=(1, 1), timeout=5) as load:
            while time.monotonic() < until:
                load.more(rng.randrange(20, 100), 10)
                victims = [rng.choice(store.masters + [store.writer(60)])] if rng.random() < .7 else []
                if not victims or rng.random() < .4:
                    victims.append(rng.choice(store.etcds))
                how = rng.choice(LINKS)
                for _ in range(4 if how == "flapping" else 1):
                    for victim in victims:
                        link = rng.choice(LINKS[:4]) if how in ("flapping", "both") else how
                        hosts.spoil(victim.name, link)
                        if how == "both" and link.startswith("drop"):
                            hosts.spoil(victim.name,
                                        "drop-out" if link == "drop-in" else "drop-in")
                    time.sleep(rng.uniform(0.1, 1.0) if how == "flapping" else rng.uniform(1, 5))
                    for victim in victims:
                        hosts.mend(victim.name)
                    time.sleep(rng.random() * 0.3)


if __name__ == "__main__":
    unittest.main()
