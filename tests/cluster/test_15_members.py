"""Several masters: members that come late or from elsewhere, watches at all of them, an etcd that is
set back."""
import base64
import os
import shutil
import time
import unittest

from harness import SLOW, fetch, poll
from masters import Load, MastersTest
from test_12_watch import Watch


class WatchTest(MastersTest):
    def test_same_everywhere(self):
        """Every master tells the same changes by the same numbers, through a change of writers."""
        c = self.new_masters()
        start = c.admin("/admin/status")["sequence"]
        for i in range(5):
            self.expect(c.put_at(c.masters[i % 3], "/w/%d" % i, "value %d" % i), 201)
        self.expect(c.put_at(c.masters[0], "/w/0", "another"), 201)
        self.expect(fetch("DELETE", c.url_at(c.masters[1], "/w/1")), 204)
        watches = [Watch(m, "/w/", since=start) for m in c.masters]
        for watch in watches:
            self.addCleanup(watch.close)
            watch.wait(7)
        writer, others = c.writer(), c.followers()
        writer.stop()
        self.expect(c.put_soon(others[0], "/w/after", "value"), 201)
        seen = [w.wait(8) for w in watches if not w.ended]
        self.assertEqual(len(seen), 2)
        self.assertEqual(seen[0], seen[1])
        self.assertEqual([(e[1], e[2]["key"]) for e in seen[0]],
                         [("put", "/w/%d" % i) for i in range(5)]
                         + [("overwrite", "/w/0"), ("delete", "/w/1"), ("put", "/w/after")])
        numbers = [e[0] for e in seen[0]]
        self.assertEqual(numbers, sorted(set(numbers)))
        # One that has applied the same again after its start tells them from where it has begun.
        writer.start()
        c.wait_master_ready()
        now = int(c.get_at(writer, "/w/after", follow=False).headers["larder-sequence"])
        self.assertGreaterEqual(now, numbers[-1])
        again = Watch(writer, "/w/", since=now)
        self.addCleanup(again.close)
        self.expect(c.put_soon(writer, "/w/last", "value"), 201)
        last = again.wait(1)
        self.assertEqual(last, watches[c.masters.index(others[0])].wait(9)[8:])


class SetBackTest(MastersTest):
    def test_older_backup(self):
        """etcd restored from a backup: no master goes on with it, each says why, and what to do."""
        c = self.new_masters()
        (etcd,) = c.etcds
        values = {"/back/%d" % i: (b"%d" % i, 0) for i in range(6)}
        for i, (key, (value, _)) in enumerate(values.items()):
            if i == 3:
                etcd.stop()
                shutil.copytree(c.path("etcd1"), c.path("backup"))
                etcd.start()
            c.put_soon(c.masters[0], key, value, seconds=20)
        poll("all have it", 10 * SLOW, lambda: all(
            c.get_at(m, key, "stale").status == 200 for m in c.masters for key in values))
        etcd.stop()
        shutil.rmtree(c.path("etcd1"))
        os.rename(c.path("backup"), c.path("etcd1"))
        etcd.start()
        for master in c.masters:
            poll("%s has noticed" % master.name, 20 * SLOW,
                 lambda m=master: "ahead of the log in etcd" in m.log_text())
            poll("it says so", 10 * SLOW,
                 lambda m=master: c.state(m)["role"] == "refused")
            self.expect(c.put_at(master, "/back/not", "value"), 503)
            self.expect(c.get_at(master, "/back/0", "stale"), 503)
        for master in c.masters:
            master.stop()
        self.refuse(c.masters[0], "ahead of the log in etcd")
        # As the advice says: another prefix, the furthest first, the others empty.
        for master in c.masters:
            master.argv += ["--cluster-prefix", "/larder2"]
        for master in c.masters[1:]:
            shutil.rmtree(master.dir)
        c.start_master()
        self.check_all(c, values)
        # Terms may be lower than before, and volumes forget those after a minute (PROTOCOL, 'Terms').
        c.put_soon(c.masters[1], "/back/after", "value", seconds=75)
        self.wait_same(c)


class MemberTest(MastersTest):
    def test_away_and_back(self):
        """One that was away catches up from the log, which is kept for it."""
        c = self.new_masters()
        away = c.followers()[0]
        poll("its position is known", 20 * SLOW, lambda: c.state(away)["synced"] > 0 or c.put_at(
            c.masters[0], "/early", "value").status != 201, every=0.2)
        away.kill()
        values = {"/away/%d" % i: (b"%d" % i, 0) for i in range(50)}
        for key, (value, _) in values.items():
            c.put_soon(c.writer(), key, value)
        time.sleep(7)  # the writer trims every 5 s: there must be something left after it has
        self.assertGreater(c.log_keys(), 0)
        away.start()
        c.wait_master_ready()
        self.check_all(c, values)
        self.wait_same(c)
        poll("the log is trimmed when all have synced", 30 * SLOW, lambda: c.log_keys() == 0,
             every=0.2)

    def test_joins_an_empty_store(self):
        c = self.new_masters(masters=1)
        joining = c.add_master()
        joining.start()
        c.wait_master_ready()
        self.expect(c.put_at(joining, "/joined", "value"), 201)
        self.assertEqual(c.get_at(joining, "/joined").body, b"value")
        self.wait_same(c)

    def fill(self, c, prefix, count):
        values = {"/%s/%d" % (prefix, i): (b"%d" % i * 50, 0) for i in range(count)}
        for key, (value, _) in values.items():
            c.put_soon(next(m for m in c.masters if m.running()), key, value)
        return values

    def test_joins_by_checkpoint(self):
        """A new one, when the log has nothing any more, and while clients go on writing."""
        c = self.new_masters()
        values = self.fill(c, "early", 60)
        poll("the log is trimmed", 40 * SLOW, lambda: c.log_keys() == 0, every=0.2)
        joining = c.add_master()
        with Load(c, c.masters[0], "/meanwhile") as load:
            joining.start()
            c.wait_master_ready()
            self.assertIn("checkpoint-loaded", joining.log_text())
            seen = len(load.taken)
            poll("writes go on", 20 * SLOW, lambda: len(load.taken) > seen + 20)
        values.update(list(load.taken.items())[-50:])
        self.check_all(c, values)
        self.wait_same(c)
        joining.kill()
        joining.start()
        c.wait_master_ready()
        self.expect(c.put_at(joining, "/restarted", "value"), 201)
        self.wait_same(c)

    def test_away_for_too_long(self):
        """More than --log-retain has happened since: it needs a checkpoint, and gets one."""
        c = self.new_masters(master_options=["--overwrite", "--log-retain", "20k"])
        values = self.fill(c, "before", 10)
        away = c.followers()[0]
        poll("it has synced", 20 * SLOW, lambda: c.state(away)["synced"] > 0, every=0.2)
        away.kill()
        values.update(self.fill(c, "since", 150))
        poll("its entries are gone", 40 * SLOW,
             lambda: any("given-up" in m.log_text() for m in c.masters), every=0.2)
        away.start()
        c.wait_master_ready()
        self.check_all(c, values)
        self.assertIn("checkpoint-loaded", away.log_text())
        self.wait_same(c)

    def test_single_master_is_taken_over(self):
        """An index that was a single master's becomes the store, but does not go back and forth."""
        c = self.new_masters(masters=1)
        master = c.masters[0]
        master.stop()
        c.etcd("kv/deleterange", key=base64.b64encode(b"/larder/").decode(),
               range_end=base64.b64encode(b"/larder0").decode())
        several, at = list(master.argv), master.argv.index("--cluster")
        alone = several[:at] + several[at + 2:]
        master.argv = alone
        master.start()
        c.wait_master_ready()
        self.expect(c.put_at(master, "/alone", "value"), 201)
        master.stop()
        # That index has left the cluster it was in; the prefix is empty, so it makes a new one.
        master.argv = several
        master.start()
        c.wait_master_ready()
        self.assertEqual(c.get_at(master, "/alone").body, b"value")
        self.expect(c.put_at(master, "/together", "value"), 201)
        master.stop()
        master.argv = alone
        master.start()
        self.expect(c.put_soon(master, "/alone/again", "value"), 201)
        master.stop()
        master.argv = several
        self.refuse(master, "used without --cluster")

    def test_other_store_is_refused(self):
        c = self.new_masters(masters=1)
        other = c.add_master()
        at = other.argv.index("--cluster")
        several, other.argv = other.argv, other.argv[:at] + other.argv[at + 2:]
        other.start()
        poll("it is ready", 20 * SLOW,
             lambda: fetch("GET", other.url + "/admin/ready").status == 200)
        self.expect(c.put_at(other, "/other", "value"), 201)
        other.stop()
        other.argv = several
        self.refuse(other, "another store")
        self.expect(c.put_at(c.masters[0], "/good", "value"), 201)


if __name__ == "__main__":
    unittest.main()
