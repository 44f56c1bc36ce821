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

    def test_quota(self):
        """At etcd's quota writes get 507, and nothing is lost; with room they go on."""
        c = self.new_masters(etcds=3, etcd_options=["--quota-backend-bytes", str(16 << 20)])
        other = c.followers()[0]
        self.expect(c.put_at(other, "/before", "value"), 201)
        block = base64.b64encode(os.urandom(1 << 20)).decode()
        for i in range(40):
            status, _ = c.etcd("kv/put", key=base64.b64encode(b"/filler/%d" % i).decode(),
                               value=block)
            if status != 200:
                break
        self.assertNotEqual(status, 200)
        poll("writes get 507", 20 * SLOW,
             lambda: c.put_at(other, "/during", "value").status == 507)
        self.expect(c.get_at(other, "/before"), 200)
        self.expect(c.get_at(other, "/during"), 404)
        # What the operator does: make room, compact, defragment, end the alarm.
        at = [base64.b64encode(k).decode() for k in (b"/filler/", b"/filler0")]
        _, answer = c.etcd("kv/deleterange", key=at[0], range_end=at[1])
        c.etcd("kv/compaction", revision=answer["header"]["revision"], physical=True)
        for etcd in c.etcds:
            fetch("POST", etcd.url + "/v3/maintenance/defragment", b"{}")
        _, alarms = c.etcd("maintenance/alarm")
        for alarm in alarms.get("alarms", []):
            c.etcd("maintenance/alarm", action="DEACTIVATE", alarm="NOSPACE",
                   memberID=alarm["memberID"])
        c.put_soon(other, "/after", "value", seconds=20)
        self.expect(c.get_at(other, "/before"), 200)
        self.wait_same(c)


if __name__ == "__main__":
    unittest.main()
