"""Bits flipped on the wire; volumes frozen, slow, cut off in one direction or both, with resets."""
import random
import time
import unittest

import means
from network import FlippingProxy, Hosts
from store import FaultTest


# What happens to a volume's link. Where only the master is cut off from it, clients still reach it.
FAULTS = ("drop-in", "drop-out", "reset", "loss", "slow", "drop-in from the master",
          "drop-out to the master")


class FlipTest(FaultTest):
    def test_flipped_bits(self):
        """One byte of some values changes on its way to a volume: it must not be taken for stored."""
        rounds = means.rounds(40, 400)
        rng = random.Random(self.seed)
        store = self.new_store(volumes=3)
        proxy = FlippingProxy(store.volumes[0].port, rng)
        self.addCleanup(proxy.close)
        # The volume is known by the address of the proxy from the beginning.
        store.master.stop()
        at = store.master.argv.index("--volumes") + 1
        store.master.argv[at] = store.master.argv[at].replace(store.volumes[0].address,
                                                              proxy.address)
        store.volumes[0].stop()
        store.volumes[0].argv += ["--base", proxy.address]
        means.run("rm", "-rf", store.master.dir)
        store.volumes[0].start()
        store.start_again()
        store.wait_master_ready()
        client = store.new_client("one")
        for number, _ in means.until_enough(range(5 * rounds), rounds,
                                            lambda: proxy.flipped > rounds // 5):
            proxy.flips = rng.random() < 0.5
            # Of the longest the volumes tell the MD5, until they have not agreed once.
            client.put("/f/%d" % (number % 20), rng.choice((300, 4000, 100000, 1500000)))
            proxy.flips = False
            client.get("/f/%d" % (number % 20))
        client.close()
        self.end(store, "a byte flipped on the way to a volume", proxy.flipped,
                 "%d PUTs" % (number + 1))
        self.assertGreater(proxy.flipped, rounds // 5)


class FrozenTest(FaultTest):
    def test_frozen(self):
        """Volumes stop (SIGSTOP) and go on, also all but one. (How long reads take: test_frozen.py.)"""
        rounds = means.rounds(3, 30)
        rng = random.Random(self.seed)
        store = self.new_store(volumes=4)
        with store.workload(self.seed, keys=40, sizes=(500, 20000), weights=(3, 1)) as load:
            for number in range(rounds):
                load.more(rng.randrange(1, 100))
                victims = rng.sample(store.volumes, 1 + number % 3)
                for victim in victims:
                    victim.pause()
                load.more(100, 1 + rng.random() * 2)
                for victim in victims:
                    victim.resume()
        self.end(store, "volumes frozen for seconds under writers", rounds)


class PartitionTest(FaultTest):
    """Each server in a network namespace of its own."""

    def test_cut_off(self):
        means.need_namespaces()
        rounds = len(FAULTS) * means.rounds(1, 5)
        rng = random.Random(self.seed)
        hosts = Hosts()
        self.addCleanup(hosts.close)
        store = self.new_store(volumes=4, hosts=hosts)
        with store.workload(self.seed, keys=40, sizes=(500, 20000, 300000), weights=(6, 2, 1),
                            timeout=8) as load:
            for number in range(rounds):
                load.more(rng.randrange(1, 100), 20)
                host = rng.choice(store.volumes).name
                fault = FAULTS[number % len(FAULTS)]
                hosts.spoil(host, fault)
                load.more(150, 2 + rng.random() * 2)
                hosts.mend(host)
        self.end(store, "a volume cut off (each way), reset, with 30 % loss, at 1 Mbit/s, cut off "
                 "from the master only (each way)", rounds)


if __name__ == "__main__":
    unittest.main()
