"""larder verify --repair: a restored index and the volumes are brought together."""
import glob
import os
import shutil
import signal
import subprocess
import time
import unittest

from harness import BIN, SLOW, Raw, fetch, poll, to_bytes
from test_13_backup import BackupTest


class WholeTest(BackupTest):
    """An older backup, and volumes on which much has happened since."""

    def check_all(self, c, values, gone):
        for key, value in values.items():
            answer = self.expect(c.get(key), 200)
            self.assertEqual(answer.body, to_bytes(value), key)
        for key in gone:
            self.expect(c.get(key), 404)
        self.assertEqual(sorted(c.list()["keys"]), sorted(values))
        c.wait_idle()
        self.assertTrue(self.verify(c)["ok"])
        for key in gone:
            self.assertEqual(c.places_with(key), [])

    def test_everything_since(self):
        c = self.new_cluster(volumes=3, master_options=["--overwrite", "--grace", "0s"])
        values = {"/w/%02d" % i: "first %d" % i for i in range(24)}
        for key, value in values.items():
            self.expect(c.put(key, value), 201)
        self.expect(c.put("/w/hidden", "h"), 201)
        c.wait_idle()
        path, _ = self.backup(c)
        gone = []
        for i in range(0, 24, 4):  # deleted, overwritten, deleted and new, hidden
            deleted, over, again = ("/w/%02d" % n for n in (i, i + 1, i + 2))
            self.soon(lambda: c.delete(deleted), 204)
            gone.append(deleted)
            self.soon(lambda: c.put(over, "second"), 201)
            self.soon(lambda: c.delete(again), 204)
            self.soon(lambda: c.put(again, "third"), 201)
            del values[deleted]
            values[over], values[again] = "second", "third"
        for i in range(10):
            values["/new/%d" % i] = "new %d" % i
            self.expect(c.put("/new/%d" % i, "new %d" % i), 201)
        self.soon(lambda: c.request("UNLINK", "/w/hidden"), 204)
        c.wait_idle()
        self.lose_index(c)
        self.start_restored(c, path)
        # Until then: what the backup has is read, nothing is written, nothing removed.
        before = c.all_files()
        self.assertEqual(self.expect(c.get("/w/03"), 200).body, b"first 3")
        for answer in (c.put("/x", "y"), c.delete("/w/03"), c.request("UNLINK", "/w/03"),
                       c.request("REBALANCE", "/w/03")):
            self.expect(answer, 503)
        self.expect(fetch("GET", c.url + "/admin/ready"), 503)
        told = self.repair(c)
        self.assertIn("together again", told)
        self.assertFalse(c.admin("/admin/status")["restored"])
        self.assertEqual(c.all_files(), before)
        self.check_all(c, values, gone)
        self.assertEqual(c.list(what="unlinked")["keys"], ["/w/hidden"])
        # And it goes on.
        self.expect(c.put("/after", "x"), 201)
        self.soon(lambda: c.put("/w/01", "fourth"), 201)
        self.assertEqual(self.expect(c.get("/w/01"), 200).body, b"fourth")

    def test_deleted_altogether_and_put_again(self):
        """Then the new value is of generation 0 again, older than what the backup has."""
        c = self.new_cluster(volumes=3, master_options=["--overwrite", "--grace", "0s"])
        for key in ("/over", "/hidden"):
            self.expect(c.put(key, "first"), 201)
        self.soon(lambda: c.put("/over", "second"), 201)
        self.soon(lambda: c.request("UNLINK", "/hidden"), 204)
        c.wait_idle()
        path, _ = self.backup(c)
        for key in ("/over", "/hidden"):
            self.soon(lambda: c.delete(key), 204)
        c.wait_idle()
        values = {"/over": "third", "/hidden": "fourth"}
        for key, value in values.items():
            self.expect(c.put(key, value), 201)
            self.assertEqual(c.admin(key + "?record")["generation"], 0)
        self.lose_index(c)
        self.start_restored(c, path)
        # What it knows of the backup outlives a beginning that is not gone on with.
        self.expect(fetch("POST", c.url + "/admin/reconcile?begin"), 204)
        self.assertGreater(c.admin("/admin/status")["restored_made"], 0)
        # One that is at work has it to itself.
        first = {"Larder-Repair": "first"}
        self.expect(fetch("POST", c.url + "/admin/reconcile?begin", headers=first), 204)
        done = self.run_tool(c, 2, "verify", "--repair")
        self.assertIn(b"another 'larder verify --repair' is at work", done.stderr)
        self.assertTrue(c.admin("/admin/status")["restored"])
        self.expect(fetch("POST", c.url + "/admin/reconcile?leave", headers=first), 204)
        self.repair(c)
        self.check_all(c, values, [])
        self.assertEqual(c.admin("/admin/status")["restored_made"], 0)

    def test_a_volume_was_away_when_keys_were_deleted(self):
        """Its copies must not come back; the others remember the deletions."""
        c = self.new_cluster(volumes=3, master_options=["--overwrite", "--grace", "0s"])
        for i in range(10):
            self.expect(c.put("/a/%d" % i, "first"), 201)
        c.wait_idle()
        path, _ = self.backup(c)
        c.volumes[0].kill()
        poll("it is down", 20 * SLOW, lambda: any(
            v["state"] == "down" for v in c.admin("/admin/volumes")["volumes"]))
        for i in range(5):
            self.soon(lambda: c.delete("/a/%d" % i), 204)
        self.soon(lambda: c.put("/a/5", "second"), 201)
        self.soon(lambda: c.put("/a/0", "again"), 201)
        self.lose_index(c)
        c.volumes[0].start()
        self.start_restored(c, path)
        self.repair(c)
        values = {"/a/%d" % i: "first" for i in range(6, 10)}
        values.update({"/a/5": "second", "/a/0": "again"})
        self.check_all(c, values, ["/a/%d" % i for i in range(1, 5)])

    def test_a_write_under_way_at_the_backup(self):
        """Its places stand there as garbage; by now they hold the value."""
        c = self.new_cluster(volumes=3, master_options=["--overwrite", "--grace", "0s"])
        self.expect(c.put("/over", "first"), 201)
        c.wait_idle()
        raws = []
        for key in ("/fresh", "/over"):
            r = Raw(c.port)
            self.addCleanup(r.close)
            r.send(b"PUT %s HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\n\r\nsec" % key.encode())
            raws.append(r)
        poll("they are under way", 20 * SLOW, lambda: len(c.work_left()) == 2)
        path, _ = self.backup(c)
        for r in raws:
            r.send(b"ond")
            self.assertEqual(r.answer("PUT").status, 201)
        c.wait_idle()
        self.lose_index(c)
        self.start_restored(c, path)
        time.sleep(1)  # for a janitor that would take them for garbage
        self.repair(c)
        self.check_all(c, {"/fresh": "second", "/over": "second"}, [])

    def test_copies_that_moved(self):
        """The backup has them elsewhere, and may have the new ones as garbage."""
        c = self.new_cluster(volumes=2, replicas=1)
        values = {"/m/%d" % i: "value %d" % i for i in range(12)}
        for key, value in values.items():
            self.expect(c.put(key, value), 201)
        c.wait_idle()
        path, _ = self.backup(c)
        new = c.new_volume()
        self.run_tool(c, 0, "add-volume", new.address)
        self.run_tool(c, 0, "rebalance")
        c.wait_idle()
        self.assertTrue(c.files(new))
        self.lose_index(c)
        # The backup does not know the new volume: its keys are missed, but not lost for ever.
        self.start_restored(c, path)
        told = self.repair(c)
        self.assertIn("of which no volume has a file", told)
        self.run_tool(c, 0, "add-volume", new.address)
        poll("it is up", 20 * SLOW, lambda: all(
            v["state"] == "up" for v in c.admin("/admin/volumes")["volumes"]))
        self.repair(c, "--adopt")
        self.check_all(c, values, [])

    def test_a_volume_that_is_left_out(self):
        """What it alone may have stays in the index."""
        c = self.new_cluster(volumes=2, replicas=1)
        values = {"/l/%d" % i: "value" for i in range(12)}
        for key, value in values.items():
            self.expect(c.put(key, value), 201)
        c.wait_idle()
        path, _ = self.backup(c)
        away = c.volumes[0]
        there = [k for k in values if c.record(k)["volumes"][0].startswith(away.address)]
        self.assertTrue(there)
        away.kill()
        self.lose_index(c)
        self.restore(c, path)
        c.start_master(ready=False)
        self.run_tool(c, 2, "verify", "--repair")  # it is not looked past by mistake
        self.assertTrue(c.admin("/admin/status")["restored"])
        told = self.repair(c, "--without", away.address)
        self.assertIn("in doubt", told)
        self.assertEqual(sorted(c.list()["keys"]), sorted(values))
        away.start()
        poll("it is up", 20 * SLOW, lambda: all(
            v["state"] == "up" for v in c.admin("/admin/volumes")["volumes"]))
        self.check_all(c, values, [])

    def test_orphans_of_a_restored_index_stay(self):
        """The janitor takes nothing for an orphan that is newer than the backup."""
        c = self.new_cluster(volumes=1, master_options=["--orphan-after", "1ms"])
        self.expect(c.put("/o/1", "v"), 201)
        c.wait_idle()
        path, _ = self.backup(c)
        self.expect(c.put("/o/2", "v"), 201)
        c.wait_idle()
        self.lose_index(c)
        self.start_restored(c, path)
        rounds = c.admin("/admin/status")["audit"]["rounds"]
        self.expect(fetch("POST", c.url + "/admin/scrub"), 204)
        time.sleep(2)
        self.assertEqual(c.admin("/admin/status")["audit"]["orphans"], 0)
        self.repair(c)
        poll("an audit has been through", 30 * SLOW, lambda: c.admin(
            "/admin/status")["audit"]["rounds"] > rounds, every=0.1)
        self.check_all(c, {"/o/1": "v", "/o/2": "v"}, [])

    def test_damaged_keys_are_not_dropped(self):
        """What has lost its last copy to a quarantine was not deleted."""
        c = self.new_cluster(volumes=1, replicas=1, master_options=["--overwrite"],
                             volume_options=["--scrub-days", "0"])
        values = {"/d/%d" % i: "value" for i in range(4)}
        values["/d/gone"] = "value"
        for key, value in values.items():
            self.expect(c.put(key, value), 201)
        c.wait_idle()
        path, _ = self.backup(c)
        self.expect(c.put("/d/new", "value"), 201)
        self.expect(c.put("/d/3", "other"), 201)
        self.expect(c.delete("/d/2"), 204)
        c.wait_idle()
        for key in ("/d/1", "/d/new", "/d/3", "/d/gone"):
            [path_now] = glob.glob(self.path_at(c, c.record(key)["volumes"][0], key) + "*")
            with open(path_now, "r+b") as f:
                f.write(b"X")
        self.run_tool(c, 1, "scrub", "--wait", "--volumes-only")
        self.expect(self.soon(lambda: c.delete("/d/gone"), 204), 204)
        self.lose_index(c)
        self.start_restored(c, path)
        done = self.run_tool(c, 1, "verify", "--repair")
        for key in (b"/d/1", b"/d/new", b"/d/3", b"/d/gone"):
            self.assertIn(key + b": its last copies are damaged", done.stderr)
        self.assertEqual(done.stderr.count(b"damaged"), 4, done.stderr)
        self.assertFalse(c.admin("/admin/status")["restored"])
        self.assertEqual(c.list()["keys"], ["/d/0", "/d/1", "/d/3", "/d/gone"])
        # One that was deleted looks the same: it is not read, and can be deleted once more.
        self.assertIn(c.get("/d/gone").status, (404, 503))
        self.expect(self.soon(lambda: c.delete("/d/gone"), 204), 204)
        self.assertEqual(c.list()["keys"], ["/d/0", "/d/1", "/d/3"])
        self.expect(c.get("/d/0"), 200)
        # Neither are they by a rebuild, which knows of no index.
        c.wait_idle()
        c.master.stop()
        shutil.rmtree(c.path("index"))
        done = self.run_tool(c, 0, "rebuild", "--db", c.path("index"), "--volumes",
                             ",".join(v.address for v in c.volumes))
        self.assertIn(b"quarantined", done.stdout)

    def test_interrupted_repair(self):
        c = self.new_cluster(volumes=1)
        for i in range(5):
            self.expect(c.put("/i/%d" % i, "v"), 201)
        c.wait_idle()
        path, _ = self.backup(c)
        self.expect(c.put("/i/new", "v"), 201)
        c.wait_idle()
        self.lose_index(c)
        self.start_restored(c, path)
        tool = subprocess.Popen([BIN + "/larder", "-m", c.url, "verify", "--repair"],
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        tool.send_signal(signal.SIGINT)
        tool.communicate()
        c.master.stop()  # and a restart does not forget it
        c.start_master(ready=False)
        poll("all volumes are up", 20 * SLOW, lambda: all(
            v["state"] == "up" for v in c.admin("/admin/volumes")["volumes"]))
        if tool.returncode != 0:
            self.assertTrue(c.admin("/admin/status")["restored"])
            self.repair(c)
        self.check_all(c, dict({"/i/%d" % i: "v" for i in range(5)}, **{"/i/new": "v"}), [])

    def test_repair_in_a_store_that_was_not_restored(self):
        c = self.new_cluster(volumes=3)
        for i in range(5):
            self.expect(c.put("/n/%d" % i, "value"), 201)
        c.wait_idle()
        self.assertEqual(self.repair(c).count("repaired"), 0)
        record = c.record("/n/2")
        os.remove(self.path_at(c, record["volumes"][1], "/n/2"))
        self.run_tool(c, 1, "verify")
        self.assertIn("1 keys were repaired; all is well", self.repair(c))
        self.assertEqual(len(c.places_with("/n/2")), 3)
        self.expect(fetch("POST", c.url + "/admin/reconcile", b'{"records":[]}'), 409)


if __name__ == "__main__":
    unittest.main()
