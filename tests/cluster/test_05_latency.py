"""How long answers take while a volume stands still, or while others upload. (run.py runs it alone.)"""
import subprocess
import threading
import time
import unittest

from harness import SMALL, SLOW, ClusterTest, Client, fetch
from test_05_failures import MIB, wait_state


class LatencyTest(ClusterTest):
    """Others are answered at once, whatever a volume or a client does."""

    OPTIONS = {"volumes": 3}

    def measure(self, seconds):
        """How long answers of the master took, sorted, in milliseconds."""
        c, took = self.cluster, []
        client, end = Client(), time.monotonic() + seconds
        paths = ["/admin/health", "/fast", "/nothing", "/?list&limit=10"]
        try:
            while time.monotonic() < end:
                for path in paths:
                    began = time.monotonic()
                    answer = client.request("GET", c.url + path, follow=False)
                    took.append((time.monotonic() - began) * 1000)
                    self.expect(answer, 200, 302, 404)
                    time.sleep(0.005)  # a client of many, not a load of its own
        finally:
            client.close()
        return sorted(took)

    def check(self, what, took, p99_limit):
        median, p99 = took[len(took) // 2], took[int(len(took) * 0.99)]
        print("%s: %d requests, median %.1f ms, 99%% %.1f ms, longest %.1f ms" % (
            what, len(took), median, p99, took[-1]))
        self.assertLess(median, 50)
        self.assertLess(p99, p99_limit)

    def setUp(self):
        if self.cluster.get("/fast").status != 200:
            self.expect(self.cluster.put("/fast", "x"), 201)

    def test_while_a_volume_is_stopped(self):
        c, stopped = self.cluster, self.cluster.volumes[0]
        stopped.pause()
        try:
            writer = threading.Thread(target=fetch, args=("PUT", c.key_url("/while"), b"x" * MIB))
            writer.start()
            self.check("a volume is stopped", self.measure(3), 50 if SLOW == 1 else 250)
            writer.join()
            wait_state(c, stopped, "down")
            self.expect(c.put("/without", "x"), 201)
            self.expect(c.get("/without"), 200)
            self.expect(c.get("/while"), 200)
        finally:
            stopped.resume()
        wait_state(c, stopped, "up")

    def test_while_ten_clients_upload(self):
        c = self.cluster
        source = c.path("source")
        with open(source, "wb") as f:
            f.truncate((8 if SMALL else 64) * MIB)
        uploads = [subprocess.Popen(["curl", "-sS", "-q", "-T", source, "-H", "Expect:",
                                     c.key_url("/upload/%d" % i)], stderr=subprocess.DEVNULL)
                   for i in range(10)]
        try:
            took = []
            while any(u.poll() is None for u in uploads):
                took += self.measure(0.2)
            # All processors and the disk are busy now: the scheduler alone takes its time.
            self.check("ten clients upload", sorted(took), 250 * SLOW)
        finally:
            for upload in uploads:
                upload.wait()
        self.assertEqual([u.returncode for u in uploads], [0] * 10)
        for i in range(10):
            self.expect(c.request("HEAD", "/upload/%d" % i), 200)


if __name__ == "__main__":
    unittest.main()
