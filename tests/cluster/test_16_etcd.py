"""Several masters whose etcd is away, or full."""
import base64
import os
import time
import unittest

from harness import SLOW, fetch, poll
from masters import Load, MastersTest


class EtcdTest(MastersTest):
    def test_majority_lost(self):
        c = self.new_masters(etcds=3)
        other = c.followers()[0]
        self.expect(c.put_at(other, "/before", "value"), 201)
        poll("all have it", 10, lambda: all(
            c.get_at(m, "/before", "stale").status == 200 for m in c.masters))
        for etcd in c.etcds[:2]:
            etcd.kill()

        def refused():
            try:
                return c.put_at(other, "/during", "value", timeout=10).status == 503
            except OSError:
                return False
        poll("writes are refused", 20 * SLOW, refused)
        for master in c.masters:
            self.expect(c.get_at(master, "/before", "stale"), 200)
            self.expect(c.get_at(master, "/before"), 503)
            self.expect(fetch("GET", master.url + "/admin/health"), 200)
        for etcd in c.etcds[:2]:
            etcd.start()
        began = time.monotonic()
        c.put_soon(other, "/after", "value", seconds=30)
        self.assertLess(time.monotonic() - began, 15 * SLOW)
        for master in c.masters:
            self.expect(c.get_at(master, "/before"), 200)
        self.wait_same(c)

    def test_etcd_node_killed(self):
        """One node less is hardly noticed, whichever it is."""
        c = self.new_masters(etcds=3)
        with Load(c, c.masters[0], "/node") as load:
            for etcd in c.etcds:
                etcd.kill()
                seen = len(load.taken)
                poll("writes go on", 20 * SLOW, lambda: len(load.taken) > seen + 20)
                etcd.start()
        self.check_all(c, dict(list(load.taken.items())[-50:]))
        self.wait_same(c)

    def test_etcd_hangs(self):
        """A master that is to stop does not wait for an etcd that does not answer."""
        c = self.new_masters(masters=2)
        self.expect(c.put_at(c.masters[0], "/before", "value"), 201)
        c.etcds[0].pause()
        for master in (c.writer(), *c.followers()):
            began = time.monotonic()
            master.stop()
            self.assertLess(time.monotonic() - began, 3 * SLOW)
        c.etcds[0].resume()


def base64_of(text):
    return base64.b64encode(text).decode()


class QuotaTest(MastersTest):
    """At etcd's quota writes get 507, reads go on everywhere, and nothing is lost; what larder can
    give back it gives back, and with room writes go on."""

    def fill(self, c):
        """Other data in etcd, up to its quota."""
        block = base64_of(os.urandom(1 << 20))
        for i in range(40):
            status, _ = c.etcd("kv/put", key=base64_of(b"/filler/%d" % i), value=block)
            if status != 200:
                return
        self.fail("etcd has no quota")

    def delete(self, c, key, end=b""):
        status, answer = c.etcd("kv/deleterange", key=base64_of(key), range_end=base64_of(end))
        self.assertEqual(status, 200)
        return int(answer["header"]["revision"])

    def end_alarm(self, c):
        """What only the operator does."""
        for etcd in c.etcds:
            fetch("POST", etcd.url + "/v3/maintenance/defragment", b"{}")
        _, alarms = c.etcd("maintenance/alarm")
        for alarm in alarms.get("alarms", []):
            c.etcd("maintenance/alarm", action="DEACTIVATE", alarm="NOSPACE",
                   memberID=alarm["memberID"])

    def new_full(self, etcds):
        """Masters over an etcd at its quota, whose log a member that is away keeps from being
        trimmed."""
        c = self.new_masters(etcds=etcds, etcd_options=["--quota-backend-bytes", str(16 << 20)])
        self.assertEqual(c.etcd("kv/put", key=base64_of(b"/larder/positions/away:1"),
                                value=base64_of(b"0"))[0], 200)
        for i in range(20):
            self.expect(c.put_at(c.masters[0], "/before/%d" % i, "value"), 201)
        self.expect(c.put_at(c.masters[0], "/before", "value"), 201)
        self.wait_told(c)
        self.fill(c)
        poll("writes get 507", 20 * SLOW,
             lambda: c.put_at(c.writer(), "/during", "value").status == 507)
        return c

    def wait_told(self, c):
        """Until etcd knows that all masters have synced what they have."""
        def told():
            at, to = base64_of(b"/larder/positions/"), base64_of(b"/larder/positions0")
            _, answer = c.etcd("kv/range", key=at, range_end=to)
            values = [int(base64.b64decode(kv["value"])) for kv in answer["kvs"]
                      if b"away" not in base64.b64decode(kv["key"])]
            return len(values) == 3 and min(values) >= c.state(c.writer())["head"]
        poll("all positions are told", 30 * SLOW, told, every=0.2)

    def check_reads(self, c):
        for master in c.masters:
            if master.running():
                self.expect(c.get_at(master, "/before"), 200)
                self.expect(c.get_at(master, "/before", "stale"), 200)
                self.expect(c.get_at(master, "/during"), 404)

    def wait_trimmed(self, c):
        """The log is empty, and etcd has forgotten what was in it."""
        poll("the log is trimmed", 30 * SLOW, lambda: c.log_keys() == 0, every=0.2)
        poll("etcd is compacted", 30 * SLOW,
             lambda: c.etcd("kv/range", key=base64_of(b"/larder/head"), revision=5)[0] != 200,
             every=0.2)

    def wait_writes(self, c):
        self.end_alarm(c)
        for master in c.masters:
            if master.running():
                c.put_soon(master, "/after", "value", seconds=20)
                self.expect(c.get_at(master, "/before"), 200)
        self.wait_same(c)

    def test_quota(self):
        c = self.new_full(etcds=3)
        other = c.followers()[0]
        time.sleep(4)  # longer than what was seen before could be believed
        self.check_reads(c)
        for master in c.masters:
            self.assertEqual(c.put_at(master, "/during", "value").status, 507)
            self.assertEqual(fetch("GET", master.url + "/admin/ready").status == 200,
                             master is not c.writer(), master.name)
        self.assertGreater(c.log_keys(), 20)
        # One that starts now gets no lease, and follows all the same.
        other.stop()
        other.start()
        poll("it knows the writer", 20 * SLOW,
             lambda: c.put_at(other, "/during", "value").status == 507)
        self.check_reads(c)
        self.delete(c, b"/filler/", b"/filler0")
        self.delete(c, b"/larder/positions/away:1")
        self.wait_trimmed(c)
        self.check_reads(c)
        self.wait_writes(c)

    def test_quota_without_a_writer(self):
        """Nobody can be elected then, and the log is trimmed all the same."""
        c = self.new_full(etcds=1)
        c.writer().kill()
        time.sleep(4)
        self.check_reads(c)
        poll("writes get 503", 20 * SLOW, lambda: all(
            c.put_at(m, "/during", "value").status == 503 for m in c.masters if m.running()))
        self.delete(c, b"/filler/", b"/filler0")
        self.delete(c, b"/larder/positions/away:1")
        self.wait_trimmed(c)
        self.wait_writes(c)


if __name__ == "__main__":
    unittest.main()
