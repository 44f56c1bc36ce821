"""Clusters with several masters and the etcd that they share."""
import base64
import json
import shutil
import socket
import threading
import time
import unittest

import harness
from harness import (BIN, SLOW, Cluster, ClusterTest, Server, fetch, free_port, poll,
                     start_together)


def have_etcd():
    return shutil.which("etcd") is not None


class Etcd(Server):
    """etcd answers SIGTERM by dying of it, which is no failure here."""

    def ask_to_end(self):
        """Not before the masters have ended, which take their leave of it."""

    def stop(self, seconds=20):
        self.kill()


class Masters(Cluster):
    """`masters` masters over `etcds` etcd nodes. What a Cluster does with its master is done with the
    first of them; close() ends all."""

    def __init__(self, masters=3, etcds=3, etcd_options=(), **options):
        self.how_many, self.etcd_options = masters, list(etcd_options)
        self.etcds, self.masters, self.etcd_count = [], [], etcds
        super().__init__(**options)

    # --- etcd ---

    def _host(self, name):
        return "127.0.0.1"

    def new_etcds(self):
        names = ["etcd%d" % (i + 1) for i in range(self.etcd_count)]
        ports = {n: (free_port(), free_port()) for n in names}
        peers = {n: "http://%s:%d" % (self._host(n), ports[n][1]) for n in names}
        for n in names:
            client = "http://%s:%d" % (self._host(n), ports[n][0])
            argv = ["etcd", "--name", n, "--data-dir", self.etcd_place(n),
                    "--listen-client-urls", client, "--advertise-client-urls", client,
                    "--listen-peer-urls", peers[n], "--initial-advertise-peer-urls", peers[n],
                    "--initial-cluster", ",".join("%s=%s" % p for p in peers.items()),
                    "--initial-cluster-state", "new", "--log-level", "error",
                    *self.etcd_options]
            etcd = Etcd(n, self.command(n, argv), ports[n][0], "/health", self.path(n + ".log"))
            etcd.address = "%s:%d" % (self._host(n), ports[n][0])
            etcd.url = "http://" + etcd.address
            self.etcds.append(etcd)

    def command(self, name, argv):
        return argv

    def start_etcds(self):
        start_together(self.etcds)

    def etcd(self, path, **request):
        """A request to the first etcd that runs."""
        etcd = next(e for e in self.etcds if e.running())
        answer = fetch("POST", etcd.url + "/v3/" + path, json.dumps(request).encode())
        return answer.status, json.loads(answer.body)

    def log_keys(self):
        """How many entries the log has."""
        at = [base64.b64encode(k).decode() for k in (b"/larder/log/", b"/larder/log0")]
        return int(self.etcd("kv/range", key=at[0], range_end=at[1], count_only=True)[1]
                   .get("count", 0))

    # --- masters ---

    def new_master(self, options=None, volumes=None):
        if not self.etcds:
            self.new_etcds()
            self.start_etcds()
        for _ in range(self.how_many):
            self.add_master(options, volumes)
        return self.masters[0]

    def index_place(self, number):
        return self.path("index%d" % number)

    def etcd_place(self, name):
        return self.path(name)

    def plain_master(self, options, volumes):
        """A master as a Cluster has it, which is made one of several then."""
        return super().new_master(options, volumes)

    def add_master(self, options=None, volumes=None):
        """One more; not started."""
        number = len(self.masters) + 1
        self.port = self.port if number == 1 else free_port()
        name = "master%d" % number
        server = self.plain_master(options, volumes)
        server.name, server.log = name, self.path(name + ".log")
        server.dir = server.argv[server.argv.index("--db") + 1] = self.index_place(number)
        server.argv += ["--cluster", ",".join(e.url for e in self.etcds)]
        server.argv = self.command(name, server.argv)
        server.address = "%s:%d" % (self._host(name), self.port)
        server.url = "http://" + server.address
        self.masters.append(server)
        return server

    def start_master(self, ready=True):
        for master in self.masters:  # the first one makes the store, where there is none yet
            master.start()
        if ready:
            self.wait_master_ready()

    def wait_master_ready(self):
        for master in self.masters:
            if master.running():
                poll("%s can serve" % master.name, 30 * SLOW,
                     lambda m=master: fetch("GET", m.url + "/admin/ready").status == 200)

    def servers(self):
        return self.masters + self.volumes + self.etcds

    def state(self, master):
        """What it says of the cluster; None where it does not answer."""
        try:
            return json.loads(fetch("GET", master.url + "/admin/status", timeout=2).body)["cluster"]
        except (OSError, ValueError, KeyError):
            return None

    def writer(self, seconds=20):
        """The master that writes."""
        def find():
            for master in self.masters:
                state = self.state(master) if master.running() else None
                if state and state["role"] == "writer":
                    return master
            return None
        return poll("there is a writer", seconds * SLOW, find)

    def followers(self):
        writer = self.writer()
        return [m for m in self.masters if m is not writer and m.running()]

    def url_at(self, master, key, query=""):
        return master.url + harness.quote(key) + ("?" + query if query else "")

    def put_at(self, master, key, value, follow=True, timeout=10):
        return fetch("PUT", self.url_at(master, key), harness.to_bytes(value), follow=follow,
                     timeout=timeout)

    def get_at(self, master, key, query="", headers=None, follow=True, timeout=10):
        return fetch("GET", self.url_at(master, key, query), headers=headers or {}, follow=follow,
                     timeout=timeout)

    def put_soon(self, master, key, value, seconds=10):
        """Puts until it is taken; the last answer."""
        last = []

        def taken():
            try:
                last[:] = [self.put_at(master, key, value, timeout=3)]
            except (OSError, socket.timeout):
                return False
            return last[0].status == 201
        poll("a value is taken at %s" % master.name, seconds * SLOW, taken, every=0.05)
        return last[0]

    def same(self):
        """Complaints of `larder verify --masters`; '' for none."""
        done = self.larder("verify", "--masters", "-m", self.writer().url, master=False)
        return "" if done.returncode == 0 else (done.stdout + done.stderr).decode()


class Load(threading.Thread):
    """Puts new keys through a master of its own, one after the other; remembers what was taken."""

    def __init__(self, cluster, master, prefix):
        super().__init__(daemon=True)
        self.cluster, self.master, self.prefix = cluster, master, prefix
        self.taken, self.number, self.ending = {}, 0, threading.Event()

    def run(self):
        while not self.ending.is_set():
            self.number += 1
            key, value = "%s/%d" % (self.prefix, self.number), b"value %d" % self.number
            try:
                answer = self.cluster.put_at(self.master, key, value, timeout=2)
            except OSError:
                time.sleep(0.02)
                continue
            if answer.status == 201:
                self.taken[key] = (value, int(answer.headers["larder-sequence"]))

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.ending.set()
        self.join(30)


@unittest.skipUnless(have_etcd(), "etcd is not installed (tools/deps.sh test installs it)")
class MastersTest(ClusterTest):
    def new_masters(self, **options):
        options.setdefault("master_options", ["--overwrite", "--grace", "100ms"])
        options.setdefault("subvolumes", 1)
        options.setdefault("etcds", 1)  # they start sooner, and cost the machine less
        cluster = Masters(**options)
        self.addCleanup(self._close, cluster)
        return cluster

    def wait_same(self, c):
        poll("all masters have the same index", 30 * SLOW, lambda: not c.same(), every=0.2)

    def check_all(self, c, values):
        """Every running master has every one of these values."""
        for master in c.masters:
            for key, (value, _) in values.items() if master.running() else ():
                answer = c.get_at(master, key)
                self.assertEqual((answer.status, answer.body), (200, value), (master.name, key))

    def refuse(self, master, why):
        """It ends at once, and says why."""
        master.start(wait=False)
        self.assertNotEqual(master.process.wait(20 * SLOW), 0)
        master.process = None
        self.assertIn(why, master.log_text())


__all__ = ["BIN", "Etcd", "Load", "Masters", "MastersTest", "have_etcd"]
