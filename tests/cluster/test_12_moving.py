"""Volumes that come back under another address: their names stay, and with them all records."""
import json
import os
import shutil
import threading
import time

from harness import SLOW, fetch, file_path, free_port, placement, poll
from test_08_tools import ToolTest

SOON = 35 * SLOW


class MovingTest(ToolTest):
    def setUp(self):
        super().setUp()
        self.c = self.registered()

    def registered(self, volumes=3, master_options=("--grace", "0s"), **options):
        """A cluster whose volumes register themselves; --volumes names none."""
        c = self.new_cluster(start=False, volumes=volumes, master_options=master_options, **options)
        c.master = c.new_master(volumes=[])
        c.start_master(ready=False)
        for volume in c.volumes:
            volume.argv += ["--master", c.url, "--base", volume.url]
            volume.start()
            volume.known_as = volume.address
        self.wait_members(c, len(c.volumes))
        c.wait_master_ready()
        return c

    def wait_members(self, c, count):
        poll("%d volumes are up" % count, SOON, lambda: [
            v["state"] for v in c.admin("/admin/volumes")["volumes"]] == ["up"] * count, every=0.1)

    def members(self, c):
        return {v["name"]: v for v in c.admin("/admin/volumes")["volumes"]}

    def wait_member(self, c, name, address, state="up"):
        def is_so():
            member = self.members(c).get(name)
            return member and member["address"] == address and member["state"] == state
        poll("%s is %s at %s" % (name, state, address), SOON, is_so, every=0.1)

    def fill(self, c, count=30):
        values = {"/move/%d" % i: os.urandom(2000) for i in range(count)}
        for key, value in values.items():
            self.expect(c.put(key, value), 201)
        return values

    def relocate(self, volume, port=None):
        """As if its machine had got another address. It must be stopped."""
        old = volume.address
        volume.port = port or free_port()
        volume.address = "127.0.0.1:%d" % volume.port
        volume.url = "http://" + volume.address
        volume.argv[volume.argv.index("--port") + 1] = str(volume.port)
        if "--base" in volume.argv:
            volume.argv[volume.argv.index("--base") + 1] = volume.url
        return old

    def move(self, volume):
        volume.stop()
        self.relocate(volume)
        volume.start()

    def copies(self, c, values):
        """Each key has a file on each of the volumes that its record names."""
        by_name = {v.known_as: v for v in c.volumes}
        for key, value in values.items():
            record = c.record(key)
            self.assertEqual(len(record["volumes"]), min(3, len(c.volumes)))
            for place in record["volumes"]:
                name, _, sub = place.partition("/")
                path = os.path.join(by_name[name].dir, sub) + file_path(key, record["generation"])
                with open(path, "rb") as f:
                    self.assertEqual(f.read(), value)

    def read_all(self, c, values):
        addresses = {v.address for v in c.volumes}
        for key, value in values.items():
            self.assertEqual(self.expect(c.get(key), 200).body, value)
            answer = c.request("GET", key, follow=False)
            self.assertEqual(answer.status, 302)
            self.assertIn(answer.headers["location"].split("/")[2], addresses)
            self.assertEqual({p.split("/")[0] for p in answer.headers["key-volumes"].split(",")}, addresses)
            self.assertEqual(answer.headers["key-balance"], "balanced")


class RegisteringTest(MovingTest):
    def test_volume_that_has_moved(self):
        c = self.c
        values = self.fill(c)
        moved = c.volumes[0]
        before = {key: c.record(key)["volumes"] for key in values}
        self.move(moved)
        self.wait_member(c, moved.known_as, moved.address)
        self.read_all(c, values)
        self.assertEqual({key: c.record(key)["volumes"] for key in values}, before)
        more = {"/moved/%d" % i: os.urandom(10000) for i in range(30)}
        for key, value in more.items():
            self.expect(c.put(key, value), 201)
        self.expect(c.delete("/move/0"), 204)
        del values["/move/0"]
        values.update(more)
        c.wait_idle()
        self.copies(c, values)
        self.assertTrue(self.verify(c)["ok"])
        # It is durable, and done without anybody's help.
        c.master.kill()
        c.start_master()
        c.client.close()
        self.wait_member(c, moved.known_as, moved.address)
        self.read_all(c, values)
        shown = self.run_tool(c, 0, "stat", "/move/1").stdout.decode()
        self.assertIn("%s" % moved.known_as, shown)
        self.assertIn("at %s" % moved.address, shown)
        self.assertIn("  at %s" % moved.address, self.run_tool(c, 0, "status").stdout.decode())
        self.run_tool(c, 0, "rebalance")
        self.run_tool(c, 0, "scrub", "--wait")
        # Again, while the master is down.
        c.master.stop()
        self.move(moved)
        c.start_master(ready=False)
        self.wait_member(c, moved.known_as, moved.address)
        self.read_all(c, values)
        self.assertTrue(self.verify(c)["ok"])
        log = c.master.log_text()
        self.assertIn("event=moved", log)

    def test_reader_at_a_hole(self):
        c = self.c
        values = self.fill(c, 5)
        moved = c.volumes[1]
        self.move(moved)
        self.wait_member(c, moved.known_as, moved.address)
        for key, value in values.items():
            place = next(p for p in c.record(key)["volumes"] if p.startswith(moved.known_as + "/"))
            path = moved.dir + "/" + place.partition("/")[2] + file_path(key)
            os.remove(path)
            url = moved.url + "/" + place.partition("/")[2] + file_path(key)
            back = fetch("GET", url, follow=False)
            self.assertEqual(back.status, 302)
            self.assertIn("avoid=", back.headers["location"])
            on = fetch("GET", back.headers["location"], follow=False)
            self.assertEqual(on.status, 302)
            self.assertNotIn(moved.address, on.headers["location"].partition("?")[0])
            self.assertEqual(fetch("GET", on.headers["location"]).body, value)
            poll("the copy is made again", SOON, lambda: os.path.exists(path), every=0.1)

    def test_two_at_once_are_refused(self):
        c = self.c
        values = self.fill(c, 10)
        original = c.volumes[0]
        original.stop()
        shutil.copytree(original.dir, c.path("copy"))
        original.start()
        self.wait_member(c, original.address, original.address)
        copy = c.new_volume(directory=c.path("copy"), start=False)
        copy.argv += ["--master", c.url, "--base", copy.url]
        copy.start()
        poll("the copy is refused", SOON, lambda: "status=409" in copy.log_text(), every=0.1)
        self.assertIn("with the same identity", copy.log_text())
        answer = fetch("POST", c.url + "/admin/add-volume", copy.url.encode())
        self.assertEqual(answer.status, 409)
        self.assertIn(original.address.encode(), answer.body)
        self.assertEqual(set(self.members(c)), {v.address for v in c.volumes[:3]})
        self.assertEqual(self.members(c)[original.address]["address"], original.address)
        copy.stop()
        self.read_all_but(c, values, copy)

    def read_all_but(self, c, values, server):
        c.volumes.remove(server)
        self.read_all(c, values)
        c.volumes.append(server)

    def test_old_address_is_taken_by_another(self):
        c = self.c
        values = self.fill(c)
        moved = c.volumes[0]
        moved.stop()
        old_port = moved.port
        # First it is there while the old one is away, then it stays.
        fresh = c.new_volume(start=False)
        self.relocate(fresh, old_port)
        fresh.argv += ["--master", c.url, "--base", fresh.url]
        fresh.start()
        self.wait_member(c, moved.known_as, moved.address, "foreign")
        self.relocate(moved)
        moved.start()
        self.wait_member(c, moved.known_as, moved.address)
        self.assertEqual(len(self.members(c)), 3)
        answer = fetch("POST", c.url + "/admin/add-volume", fresh.url.encode())
        self.assertEqual(answer.status, 409)
        self.assertIn(moved.address.encode(), answer.body)
        fresh.kill()
        fresh.start()
        poll("it is refused", SOON, lambda: "status=409" in fresh.log_text(), every=0.1)
        for i in range(20):
            self.expect(c.put("/later/%d" % i, "x"), 201)
        self.assertEqual(c.files(fresh), [])
        self.read_all_but(c, values, fresh)
        # At a port of its own it is welcome.
        self.move(fresh)
        fresh.known_as = fresh.address
        self.wait_member(c, fresh.address, fresh.address)
        self.run_tool(c, 0, "rebalance")
        self.assertTrue(self.verify(c)["ok"])
        self.assertTrue(c.files(fresh))

    def test_two_volumes_that_change_places(self):
        c = self.c
        values = self.fill(c)
        a, b = c.volumes[:2]
        port = a.port
        a.stop()
        b.stop()
        self.relocate(a, b.port)
        self.relocate(b, port)
        a.start()
        b.start()
        self.wait_member(c, a.known_as, a.address)
        self.wait_member(c, b.known_as, b.address)
        self.read_all(c, values)
        c.wait_idle()
        self.copies(c, values)
        self.assertTrue(self.verify(c)["ok"])
        c.master.stop()
        c.start_master()
        c.client.close()
        self.read_all(c, values)

    def test_two_that_change_places_between_two_looks(self):
        """So soon that the master sends requests to each for the other: they are refused there, so
        no copy is where no record says, and no file outlives its key."""
        c = self.registered(volumes=2, replicas=2)
        keep = self.fill(c, 10)
        gone = ["/gone/%d" % i for i in range(20)]
        for key in gone:
            self.expect(c.put(key, "value"), 201)
        c.wait_idle()
        a, b = c.volumes
        c.master.pause()
        a.stop()
        b.stop()
        ports = a.port, b.port
        self.relocate(a, ports[1])
        self.relocate(b, ports[0])
        a.start()
        b.start()
        answers = {}

        def ask(method, key, body=None):
            answers[key] = fetch(method, c.key_url(key), body, timeout=60).status
        threads = [threading.Thread(target=ask, args=("DELETE", key)) for key in gone]
        threads += [threading.Thread(target=ask, args=("PUT", "/new/%d" % i, b"n" * 3000))
                    for i in range(20)]
        for thread in threads:
            thread.start()
        time.sleep(0.5)  # they are in the master's socket
        c.master.resume()
        for thread in threads:
            thread.join()
        self.wait_member(c, a.known_as, a.address)
        self.wait_member(c, b.known_as, b.address)
        c.wait_idle()
        there = {key: b"n" * 3000 for key, status in answers.items() if status == 201}
        there.update(keep)
        self.copies(c, there)
        files = [path for paths in c.all_files().values() for path in paths]
        for key, status in answers.items():
            if status == 204 or (status != 201 and key.startswith("/new/")):
                self.assertEqual([p for p in files if p.endswith(file_path(key))], [], key)

    def test_rebuild_from_volumes(self):
        c = self.c
        values = self.fill(c)
        moved = c.volumes[0]
        self.move(moved)
        self.wait_member(c, moved.known_as, moved.address)
        for volume in c.volumes:
            with open(volume.dir + "/.larder/name") as f:
                self.assertEqual(f.read(), volume.known_as + "\n")
        records = {key: c.record(key)["volumes"] for key in values}
        for keeps_old in (False, True):
            c.master.stop()
            if not keeps_old:
                shutil.rmtree(c.path("index"))
            self.run_tool(c, 0, "rebuild", "--db", c.path("index"), "--volumes",
                          ",".join(c.names()))
            c.start_master()
            c.client.close()
            self.wait_member(c, moved.known_as, moved.address)
            self.assertEqual({key: sorted(c.record(key)["volumes"]) for key in values},
                             {key: sorted(places) for key, places in records.items()})
            self.read_all(c, values)
            self.assertTrue(self.verify(c)["ok"])

    def test_drain_by_address_or_name(self):
        c = self.c
        extra = c.new_volume(start=False)
        extra.argv += ["--master", c.url, "--base", extra.url]
        extra.start()
        extra.known_as = extra.address
        self.wait_members(c, 4)
        values = self.fill(c)
        self.move(extra)
        self.wait_member(c, extra.known_as, extra.address)
        self.run_tool(c, 0, "drain", extra.address, "--wait")
        poll("nothing is left", SOON, lambda: not c.files(extra), every=0.2)
        self.wait_member(c, extra.known_as, extra.address, "draining")
        c.wait_idle()
        self.run_tool(c, 0, "remove-volume", extra.known_as)
        self.assertNotIn(extra.known_as, self.members(c))
        extra.stop()
        c.volumes.remove(extra)
        self.read_all(c, values)


class OperatorTest(ToolTest):
    def members(self, c):
        return {v["name"]: v for v in c.admin("/admin/volumes")["volumes"]}

    def test_volumes_of_the_command_line(self):
        """Volumes that do not register: an operator adds the new address."""
        c = self.new_cluster(volumes=3)
        values = {"/op/%d" % i: os.urandom(500) for i in range(20)}
        for key, value in values.items():
            self.expect(c.put(key, value), 201)
        moved = c.volumes[0]
        name = moved.address
        poll("it knows its name", SOON, lambda: c.admin("/admin/name", moved)["name"] == name)
        moved.stop()
        again = c.new_volume(directory=moved.dir)
        said = self.run_tool(c, 0, "add-volume", again.address).stdout.decode()
        self.assertIn("%s is reached at %s" % (name, again.address), said)
        c.volumes.remove(moved)
        for key, value in values.items():
            self.assertEqual(self.expect(c.get(key), 200).body, value)
        # --volumes may still have the old one, or the new one already.
        for names in ([name] + c.names()[:2], c.names()):
            c.master.stop()
            c.master = c.new_master(volumes=names)
            c.start_master()
            c.client.close()
            self.assertEqual(len(self.members(c)), 3)
            self.assertEqual(self.members(c)[name]["address"], again.address)
            self.assertTrue(self.verify(c)["ok"])

    def test_leaving_needs_draining(self):
        c = self.new_cluster(volumes=4, replicas=3)
        self.run_tool(c, 1, "remove-volume", c.names()[0])
        self.assertEqual(len(self.members(c)), 4)

    def test_wanted_is_where_copies_can_be(self):
        c = self.new_cluster(volumes=4, replicas=3, master_options=["--grace", "0s"])
        key = next(k for k in map("/want/{}".format, range(1000))
                   if c.names()[0] in " ".join(placement(k, c.names())[:3]))
        self.expect(c.put(key, "x"), 201)
        self.run_tool(c, 0, "drain", c.names()[0], "--wait")
        record = c.record(key)
        self.assertEqual(record["wanted"], placement(key, c.names()[1:])[:3])
        self.assertEqual(sorted(record["wanted"]), sorted(record["volumes"]))
        self.run_tool(c, 0, "rebalance")
        answer = c.request("GET", key, follow=False)
        self.assertEqual(answer.headers["key-balance"], "balanced")
        self.assertEqual(json.dumps(c.record(key)["volumes"]), json.dumps(record["wanted"]))
