"""larder bench beside a clock: rates that are kept, a standstill that counts. (run.py runs it alone.)"""
import threading
import time
import unittest

from harness import SLOW
from test_12_bench import BenchTest


class StandstillTest(BenchTest):
    OPTIONS = {"volumes": 1}

    def run_with_pause(self, *args):
        """A load of three seconds, during which the master stands still for one."""
        result = []
        loader = threading.Thread(target=lambda: result.append(self.bench(
            "--op", "missing", "--duration", "3s", "--timeout", "60s", *args)))
        loader.start()
        time.sleep(1)  # somewhere in the middle of the load
        self.cluster.master.pause()
        time.sleep(1)
        self.cluster.master.resume()
        loader.join()
        return result[0]

    def test_open_loop_counts_from_when_it_was_due(self):
        found = self.run_with_pause("--rate", 300, "--clients", 8)
        self.assertLessEqual(abs(found["operations"] + found["missed"] - 900), 10)
        self.assertEqual(found["errors"], 0)
        # A third of all operations was due while the master stood still: half of those waited for
        # more than half a second.
        self.assertGreater(found["latency_us"]["p90"], 300000)
        self.assertGreater(found["latency_us"]["max"], 900000)

    def test_closed_loop_hides_it(self):
        found = self.run_with_pause("--clients", 8)
        self.assertGreater(found["latency_us"]["max"], 900000)
        self.assertLess(found["latency_us"]["p90"], 300000 * SLOW)

    def test_rate_is_kept(self):
        found = self.bench("--op", "missing", "--rate", 500, "--duration", "2s", "--threads", 2)
        self.assertLessEqual(abs(found["operations"] + found["missed"] - 1000), 10)


if __name__ == "__main__":
    unittest.main()
