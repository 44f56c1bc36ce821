"""The store mends itself: repair, lost volumes, draining and removing, scrubs, exchanged disks."""
import os
import shutil
import threading
import time

from harness import (SLOW, Client, Raw, fetch, file_path, placement, poll, to_bytes)
from test_08_tools import ToolTest

SOON = 35 * SLOW  # for what the master does by itself


class HealingTest(ToolTest):
    def states(self, c):
        return {v["name"]: v["state"] for v in c.admin("/admin/volumes")["volumes"]}

    def wait_state(self, c, volume, *states):
        poll("%s is %s" % (volume.name, " or ".join(states)), 20 * SLOW,
             lambda: self.states(c).get(volume.address) in states, every=0.1)

    def fill(self, c, count=20, size=3000):
        values = {"/heal/%d" % i: os.urandom(size) for i in range(count)}
        for key, value in values.items():
            self.expect(c.put(key, value), 201)
        return values

    def wrong(self, c, values, copies, without=()):
        """What is not yet as it should be: each key with so many good copies, and no other file.
        None: nothing."""
        known = {v.name: set() for v in c.volumes}
        away = {v.address for v in without}
        for key, value in values.items():
            record = c.record(key)
            if not record:
                return "%s has no record" % key
            places = [p for p in record["volumes"] if p.split("/")[0] not in away]
            if len(places) != copies or len(record["volumes"]) != copies:
                return "%s is on %s" % (key, record["volumes"])
            for place in places:
                path = self.path_at(c, place, key, record["generation"])
                if not os.path.exists(path):
                    return "%s is not on %s" % (key, place)
                with open(path, "rb") as f:
                    if f.read() != to_bytes(value):
                        return "%s is damaged on %s" % (key, place)
                volume = c.volume_of(place)
                known[volume.name].add(os.path.relpath(path, volume.dir))
        for volume in c.volumes:
            more = set(c.files(volume)) - known[volume.name] if volume not in without else None
            if more:
                return "%s has also %s" % (volume.name, sorted(more)[:3])
        return None

    def wait_healed(self, c, values, copies, seconds=SOON, without=()):
        last = []

        def healed():
            last[:] = [self.wrong(c, values, copies, without)]
            return last[0] is None
        try:
            poll("all is healed", seconds, healed, every=0.2)
        except AssertionError:
            raise AssertionError("not healed within %g s: %s" % (seconds, last[0])) from None
        for key, value in values.items():
            self.assertEqual(self.expect(c.get(key), 200).body, to_bytes(value))


class RepairTest(HealingTest):
    def test_volume_is_back(self):
        c = self.new_cluster(volumes=3)
        c.volumes[0].kill()
        self.wait_state(c, c.volumes[0], "down")
        values = self.fill(c)
        self.assertTrue(all(c.record(k).get("few") for k in values))
        poll("the queue is known", SOON,
             lambda: c.admin("/admin/status")["repair"]["queue"] == len(values), every=0.2)
        self.assertEqual(self.run_tool(c, 1, "status").returncode, 1)
        c.volumes[0].start()
        self.wait_healed(c, values, 3)
        self.run_tool(c, 0, "repair", "--wait")
        self.assertEqual(c.admin("/admin/status")["repair"]["queue"], 0)
        self.assertIn("0 keys wait", self.run_tool(c, 0, "status").stdout.decode())

    def test_queue_survives_a_restart(self):
        c = self.new_cluster(volumes=3)
        c.volumes[0].kill()
        self.wait_state(c, c.volumes[0], "down")
        values = self.fill(c)
        c.master.kill()
        c.volumes[0].start()
        c.start_master()
        c.client.close()
        self.wait_healed(c, values, 3)

    def test_another_volume_can_take_them(self):
        c = self.new_cluster(volumes=2, replicas=3)
        values = self.fill(c)
        # Two volumes for three copies: it says so, and gives up waiting.
        done = self.run_tool(c, 1, "repair", "--wait", "--patience", "4s")
        self.assertIn("%d keys still need repair" % len(values), done.stderr.decode())
        self.run_tool(c, 0, "add-volume", c.new_volume().address)
        self.wait_healed(c, values, 3)
        self.run_tool(c, 0, "repair", "--wait")

    def test_volume_that_stays_away_is_lost(self):
        c = self.new_cluster(volumes=4, replicas=3,
                             master_options=["--down-after", "2s", "--grace", "0s"])
        values = self.fill(c)
        away = c.volumes[0]
        self.assertTrue(c.files(away))
        away.kill()
        self.wait_state(c, away, "lost")
        self.wait_healed(c, values, 3, without=[away])
        self.assertTrue(c.files(away))
        self.run_tool(c, 0, "repair", "--wait")
        away.start()
        self.wait_state(c, away, "up")
        self.wait_healed(c, values, 3)  # what was superfluous is gone
        self.run_tool(c, 0, "rebalance")
        self.assertIsNone(self.wrong(c, values, 3))
        self.assertTrue(c.files(away))


    def test_disk_that_stays_away_is_lost(self):
        """One disk of a volume, which itself goes on."""
        c = self.new_cluster(volumes=4, replicas=3, subvolumes=2,
                             master_options=["--down-after", "2s", "--grace", "0s"])
        values = self.fill(c)
        disk = c.volumes[0].dir + "/sv00"
        self.assertTrue(any(p.startswith("sv00/") for p in c.files(c.volumes[0])))
        os.rename(disk, c.path("unmounted"))
        self.wait_healed(c, values, 3)
        place = c.volumes[0].address + "/sv00"
        self.assertFalse(any(place in c.record(k)["volumes"] for k in values))
        os.rename(c.path("unmounted"), disk)
        self.run_tool(c, 0, "repair", "--wait")
        self.wait_healed(c, values, 3)  # what was superfluous is gone
        self.run_tool(c, 0, "rebalance")
        self.assertIsNone(self.wrong(c, values, 3))
        self.assertTrue(any(p.startswith("sv00/") for p in c.files(c.volumes[0])))


class Traffic:
    """Clients that write, overwrite and read while something else goes on."""

    def __init__(self, c, values):
        self.c, self.values, self.failures = c, dict(values), []
        self.old = sorted(values)
        self.stopped = threading.Event()
        self.threads = [threading.Thread(target=t) for t in (self.write, self.read)]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stopped.set()
        for thread in self.threads:
            thread.join()

    def write(self):
        """New keys, and new values of those that a reader does not compare."""
        client, n = Client(), 0
        while not self.stopped.is_set():
            n += 1
            key = "/traffic/%d" % (n % 20 if n % 2 else n)
            value = b"value %d" % n
            answer = client.request("PUT", self.c.key_url(key), value)
            if answer.status == 201:
                self.values[key] = value
            elif answer.status != 409:  # the key is being moved
                self.failures.append((key, answer.status, answer.body))
            time.sleep(0.005)
        client.close()

    def read(self):
        client = Client()
        while not self.stopped.is_set():
            for key in self.old:
                answer = client.request("GET", self.c.key_url(key))
                if answer.status != 200 or answer.body != self.values[key]:
                    self.failures.append((key, answer.status, answer.body[:100]))
        client.close()


class LeavingTest(HealingTest):
    def test_drain_and_remove(self):
        c = self.new_cluster(volumes=4, replicas=3,
                             master_options=["--overwrite", "--grace", "0s"])
        values = self.fill(c, 60)
        leaving = c.volumes[0]
        refused = self.run_tool(c, 1, "remove-volume", leaving.address).stderr.decode()
        count = sum(leaving.address in " ".join(c.record(k)["volumes"]) for k in values)
        self.assertGreater(count, 0)
        self.assertIn("%d keys" % count, refused)
        self.assertIn("larder drain", refused)
        with Traffic(c, values) as traffic:
            poll("there is traffic", 20 * SLOW, lambda: len(traffic.values) > len(values) + 20)
            self.run_tool(c, 0, "drain", leaving.address, "--wait")
        self.assertEqual(traffic.failures, [])
        self.assertEqual(c.admin("/admin/volume-keys?volume=" + leaving.address)["keys"], 0)
        poll("no file is left", SOON, lambda: not c.files(leaving), every=0.2)
        self.assertEqual(self.states(c)[leaving.address], "draining")
        self.assertIn("draining", self.run_tool(c, 1, "status").stdout.decode())
        self.wait_healed(c, traffic.values, 3)
        self.run_tool(c, 0, "remove-volume", leaving.address)
        self.assertNotIn(leaving.address, self.states(c))
        self.run_tool(c, 1, "remove-volume", leaving.address)
        self.expect(c.put("/after", "x"), 201)
        self.assertEqual(c.files(leaving), [])
        # It stays out, though --volumes of the master still names it.
        c.master.stop()
        c.start_master()
        c.client.close()
        self.assertNotIn(leaving.address, self.states(c))
        self.run_tool(c, 0, "add-volume", leaving.address)
        self.wait_state(c, leaving, "up")
        self.run_tool(c, 0, "rebalance")
        self.assertIsNone(self.wrong(c, {**traffic.values, "/after": b"x"}, 3))
        self.assertTrue(c.files(leaving))

    def test_value_that_comes_in_while_the_draining_begins(self):
        c = self.new_cluster(volumes=4, replicas=3, master_options=["--grace", "0s"])
        leaving = c.volumes[0]
        key = next(k for k in map("/slow/{}".format, range(1000))
                   if leaving.address in " ".join(placement(k, c.names())[:3]))
        value = os.urandom(2 << 20)
        with Raw(c.port) as slow:
            slow.send(b"PUT %s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % (
                key.encode(), len(value)))
            slow.send(value[:1 << 20])
            poll("the upload has begun", 20 * SLOW,
                 lambda: any(os.path.getsize(os.path.join(folder, n))
                             for folder, _, names in os.walk(leaving.dir) for n in names
                             if "tmp" in folder))
            self.run_tool(c, 0, "drain", "--no-wait", leaving.address)
            self.run_tool(c, 0, "repair", "--wait")  # so the look through the index is over
            slow.send(value[1 << 20:])
            self.expect(slow.answer("PUT"), 201)
        poll("nothing is on it", SOON, lambda: not c.files(leaving), every=0.2)
        self.wait_healed(c, {key: value}, 3)

    def test_draining_survives_a_restart_and_can_be_stopped(self):
        c = self.new_cluster(volumes=3, replicas=3, master_options=["--grace", "0s"])
        values = self.fill(c, 5)
        done = self.run_tool(c, 1, "drain", c.names()[0], "--wait", "--patience", "3s")
        self.assertIn("5 keys cannot be moved", done.stderr.decode())
        c.master.stop()
        c.start_master()
        c.client.close()
        self.wait_state(c, c.volumes[0], "draining")
        self.run_tool(c, 0, "drain", c.names()[0], "--stop")
        self.wait_state(c, c.volumes[0], "up")
        self.run_tool(c, 0, "repair", "--wait")
        self.wait_healed(c, values, 3)
        self.run_tool(c, 1, "drain", "127.0.0.1:1")
        self.run_tool(c, 2, "drain", "nonsense")

    def test_remove_what_is_lost(self):
        c = self.new_cluster(volumes=4, replicas=3)
        values = self.fill(c)
        c.volumes[0].kill()
        self.run_tool(c, 1, "remove-volume", c.names()[0])
        self.run_tool(c, 0, "remove-volume", "--lost", c.names()[0])
        self.run_tool(c, 0, "repair", "--wait")
        self.wait_healed(c, values, 3, without=[c.volumes[0]])
        self.assertTrue(self.verify(c)["ok"])


class ScrubTest(HealingTest):
    def mastered(self, **options):
        """A cluster whose volumes know their master."""
        c = self.new_cluster(start=False, **options)
        for volume in c.volumes:
            volume.argv += ["--master", c.url, "--base", volume.url]
            volume.start()
        c.start_master()
        return c

    def remove_file(self, c, key, place=None):
        place = place or c.record(key)["volumes"][0]
        path = self.path_at(c, place, key, c.record(key)["generation"])
        os.remove(path)
        return path

    def test_removed_file_is_healed_after_a_get_through_the_hole(self):
        c = self.mastered(volumes=3)
        values = self.fill(c, 3)
        places = c.record("/heal/0")["volumes"]
        self.remove_file(c, "/heal/0", places[1])
        answer = fetch("GET", "http://" + places[1] + file_path("/heal/0"))
        self.assertEqual(self.expect(answer, 200).body, values["/heal/0"])
        self.wait_healed(c, values, 3)

    def test_removed_file_is_healed_by_a_scrub(self):
        c = self.new_cluster(volumes=3)
        values = self.fill(c)
        for key in ("/heal/1", "/heal/2", "/heal/3"):
            self.remove_file(c, key)
        done = self.run_tool(c, 0, "scrub", "--wait")
        self.assertIn("3 with a missing or wrong copy", done.stdout.decode())
        self.assertIsNone(self.wrong(c, values, 3))
        audit = c.admin("/admin/status")["audit"]
        self.assertEqual((audit["running"], audit["keys"], audit["rounds"]), (False, 20, 1))
        done = self.run_tool(c, 0, "scrub", "--wait", "--master-only")
        self.assertIn("0 with a missing or wrong copy", done.stdout.decode())
        self.run_tool(c, 2, "scrub", "--volumes-only", "--master-only")

    def test_removed_file_is_healed_by_rebalancing_all(self):
        c = self.new_cluster(volumes=3)
        values = self.fill(c)
        self.remove_file(c, "/heal/5")
        self.run_tool(c, 0, "rebalance")
        self.assertIsNotNone(self.wrong(c, values, 3))  # the index says that it stands right
        self.run_tool(c, 0, "rebalance", "--all")
        self.assertIsNone(self.wrong(c, values, 3))

    def test_what_cannot_be_repaired_is_told(self):
        c = self.mastered(volumes=3)
        values = self.fill(c, 5)
        for place in c.record("/heal/0")["volumes"]:
            self.remove_file(c, "/heal/0", place)
        done = self.run_tool(c, 1, "scrub", "--wait", "--patience", "4s")
        self.assertIn("1 keys still need repair", done.stderr.decode())
        self.expect(c.get("/heal/1"), 200)
        self.expect(c.get("/heal/0"), 503)
        values.pop("/heal/0")
        self.assertTrue(c.record("/heal/0"))
        for key in values:
            self.assertEqual(self.expect(c.get(key), 200).body, values[key])

    def test_orphans_go_and_what_is_older_than_the_index_stays(self):
        c = self.new_cluster(volumes=3, master_options=["--orphan-after", "2s"])
        values = self.fill(c, 5)
        time.sleep(1.1)  # times in listings are whole seconds: not that of the index itself

        def plant(key, generation=0):
            place = placement(key, c.names())[0]
            path = self.path_at(c, place, key, generation)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "wb") as f:
                f.write(b"in no record")
            return path
        gone = [plant("/orphan/1"), plant("/orphan/" + "long" * 100), plant("/heal/1", 77)]
        old = plant("/orphan/old")
        os.utime(old, (time.time() - 86400, time.time() - 86400))
        time.sleep(2.1)  # their age is what is tested
        young = plant("/orphan/young")
        done = self.run_tool(c, 0, "scrub", "--wait", "--master-only").stdout.decode()
        self.assertEqual([p for p in gone if os.path.exists(p)], [], done)
        self.assertTrue(os.path.exists(old))
        self.assertTrue(os.path.exists(young))
        self.assertIn("3 of them in no record", done)
        os.remove(old)
        os.remove(young)
        self.assertIsNone(self.wrong(c, values, 3))

    def test_damaged_value_is_found_and_repaired(self):
        # Only when asked: a round that runs by itself may find some before.
        c = self.mastered(volumes=3, volume_options=["--scrub-days", "0"])
        values = self.fill(c)
        if fetch("GET", c.volumes[0].url + "/admin/scrub").status == 404:
            self.skipTest("this larder-volume does not scrub")
        damaged = [self.path_at(c, c.record(key)["volumes"][n], key)
                   for n, key in enumerate(("/heal/1", "/heal/2", "/heal/3"))]
        for path in damaged:
            with open(path, "r+b") as f:
                f.seek(1234)
                byte = f.read(1)[0]
                f.seek(1234)
                f.write(bytes([byte ^ 4]))
        done = self.run_tool(c, 0, "scrub", "--wait", "--volumes-only").stdout.decode()
        self.assertIn("3 damaged", done)
        self.assertIsNone(self.wrong(c, values, 3))
        kept = [os.path.join(folder, n) for v in c.volumes
                for folder, _, names in os.walk(v.dir) if "quarantine" in folder for n in names]
        self.assertGreaterEqual(len(kept), 3)
        self.assertTrue(self.verify(c)["ok"])
        self.assertIn("0 damaged", self.run_tool(c, 0, "scrub", "--wait").stdout.decode())


class IdentityTest(HealingTest):
    def test_exchanged_directory_is_refused_until_it_is_accepted(self):
        c = self.new_cluster(volumes=3)
        values = self.fill(c)
        volume = c.volumes[0]
        volume.stop()
        os.rename(volume.dir, volume.dir + ".before")
        os.mkdir(volume.dir)
        volume.start()
        self.wait_state(c, volume, "foreign")
        for key, value in values.items():
            self.assertEqual(self.expect(c.get(key), 200).body, value)
        self.expect(c.put("/meanwhile", "x"), 201)
        self.assertEqual(c.files(volume), [])
        self.run_tool(c, 0, "add-volume", volume.address)  # known already: nothing changes
        self.wait_state(c, volume, "foreign")
        self.run_tool(c, 0, "add-volume", "--replace", volume.address)
        self.wait_state(c, volume, "up")
        self.run_tool(c, 0, "rebalance", "--all")
        self.wait_healed(c, {**values, "/meanwhile": b"x"}, 3)
        # It is remembered: the old directory is the foreign one now.
        c.master.stop()
        volume.stop()
        shutil.rmtree(volume.dir)
        os.rename(volume.dir + ".before", volume.dir)
        volume.start()
        c.master.start()
        c.client.close()
        self.wait_state(c, volume, "foreign")

    def test_one_volume_under_two_names_is_refused(self):
        c = self.new_cluster(volumes=3)
        values = self.fill(c, 5)
        other = c.volumes[0].address.replace("127.0.0.1", "localhost")
        refused = self.run_tool(c, 1, "add-volume", other).stderr.decode()
        self.assertIn("up at %s, with the same identity" % c.names()[0], refused)
        self.assertNotIn(other, self.states(c))
        # The command line cannot be refused; it is noticed.
        c.master.stop()
        c.master = c.new_master(volumes=c.names() + [other])
        c.start_master()
        c.client.close()
        poll("it is refused", 20 * SLOW, lambda: self.states(c).get(other) == "foreign")
        self.assertEqual(self.states(c)[c.names()[0]], "up")
        for i in range(10):
            self.expect(c.put("/two/%d" % i, "x"), 201)
            self.assertNotIn(other, " ".join(c.record("/two/%d" % i)["volumes"]))
        self.run_tool(c, 0, "remove-volume", "--lost", other)
        values.update({"/two/%d" % i: b"x" for i in range(10)})
        self.wait_healed(c, values, 3)

    def test_volume_that_was_removed_comes_back_under_another_address(self):
        c = self.new_cluster(volumes=3)
        values = self.fill(c)
        moved = c.volumes[0]
        moved.stop()
        again = c.new_volume(directory=moved.dir)
        self.run_tool(c, 0, "remove-volume", "--lost", moved.address)
        self.run_tool(c, 0, "add-volume", again.address)
        self.wait_state(c, again, "up")
        c.volumes.remove(moved)
        self.run_tool(c, 0, "rebalance", "--all")
        poll("every key has three copies", SOON, lambda: all(
            sorted(c.record(k)["volumes"]) == sorted(placement(k, c.names())) for k in values))
        for key, value in values.items():
            self.assertEqual(self.expect(c.get(key), 200).body, value)
