"""A store under test: a cluster of real processes, what clients did with it, and the judgement of it
at the end."""
import glob
import os
import shutil
import signal
import time
import unittest

import means  # first: it says where the harness is
import harness
from harness import Cluster, Server, fetch, free_port, poll, start_together

import checker
import copies
import table
from history import History
from workload import Client, Workload

MASTER_OPTIONS = ["--overwrite", "--grace", "1s", "--voltimeout", "1s"]


class Store(Cluster):
    """As a Cluster; its volumes know their master, so that a reader at a hole is sent on. One thread
    of each kind (`plain`) makes system calls come in the same order each time."""

    def __init__(self, volumes=3, replicas=3, subvolumes=1, overwrite=True, plain=False,
                 place=None, master_options=(), volume_options=(), start=True, environment=None,
                 hosts=None):
        self.hosts = hosts  # a Hosts: each server in a network namespace of its own
        self.place = place or self.path  # where a server's directory is
        self.overwrite = overwrite
        self.environment = environment or {}
        few = ["--threads", "1", "--pool-threads", "1"] if plain else ["--threads", "2"]
        super().__init__(
            volumes=volumes, replicas=replicas, subvolumes=subvolumes, start=start,
            master_options=few + [o for o in MASTER_OPTIONS if overwrite or o != "--overwrite"]
            + list(master_options), volume_options=few + list(volume_options))
        self.history = History()
        self.began = time.monotonic()

    def _command(self, name, argv):
        """What is really run: with an environment, in a namespace."""
        argv = ["env"] + ["%s=%s" % pair for pair in self.environment.items()] + argv
        return self.hosts.command(name, argv) if self.hosts else argv

    def _locate(self, server):
        """Where a server is, if it has a namespace."""
        if self.hosts:
            server.address = "%s:%d" % (self.hosts.addresses[server.name], server.port)
            server.url = "http://" + server.address

    def _address(self, name):
        if not self.hosts:
            return "127.0.0.1"
        return self.hosts.addresses.get(name) or self.hosts.add(name)

    def new_volume(self, nginx=False, start=True, options=(), directory=None):
        number = len(self.volumes) + 1
        name, port = "volume%d" % number, free_port()
        directory = directory or self.place(name)
        argv = [harness.BIN + "/larder-volume", "--port", str(port), "--dir", directory,
                "--listen", self._address(name),
                "--master", "%s:%d" % (self._address("master"), self.port),
                *self.volume_options, *options]
        server = Server(name, self._command(name, argv), port, "/admin/health",
                        self.path(name + ".log"))
        server.dir = directory
        self._locate(server)
        self.volumes.append(server)
        if start:
            server.start()
        return server

    def new_master(self, options=None, volumes=None):
        master = super().new_master(options, volumes)
        at = master.argv.index("--db") + 1
        master.argv[at] = master.dir = self.place("index")
        master.argv += ["--listen", self._address("master")]
        master.argv = self._command("master", master.argv)
        self._locate(master)
        self.url = master.url
        return master

    def new_client(self, name="test", timeout=20):
        return Client(self, name, timeout)

    def workload(self, seed, **options):
        return Workload(self, seed, **options)

    def start_again(self):
        """Everything that is not running is started."""
        for server in self.servers():
            server.check()
        start_together([s for s in self.servers() if s.process is None])

    def rebuild(self):
        """Makes a new index from the volumes, where the old one is or was; the master is stopped."""
        done = self.larder("rebuild", "--db", self.master.dir, "--volumes",
                           ",".join(v.address for v in self.volumes), "--subvolumes",
                           str(self.subvolumes), "--replicas", str(self.replicas), master=False)
        if done.returncode:
            raise AssertionError("rebuild: %s" % (done.stdout + done.stderr).decode())
        for old in glob.glob(glob.escape(self.master.dir) + ".old-*"):
            shutil.rmtree(old)

    def volumes_up(self, count=None):
        """Waits until the master sees so many volumes (all of them) as usable."""
        count = len(self.volumes) if count is None else count

        poll("%d volumes are up" % count, 30,
             lambda: sum(v["state"] == "up" for v in self.states()) >= count)

    def states(self):
        """The volumes as the master sees them."""
        page = self.admin("/admin/volumes")
        return page["volumes"] if isinstance(page, dict) else page

    # --- the judgement ---

    def settle(self, seconds=120):
        """Waits until nothing is left to do for the janitor."""
        if os.environ.get("LARDER_PLANTED", "nothing") != "nothing":
            seconds = 10  # what a planted fault has lost cannot be repaired, however long it is tried
        self.wait_master_ready()
        self.volumes_up()

        def idle():
            status = self.admin("/admin/status")
            return status["work"] == 0 and not self.work_left()
        poll("the janitor has no work left", seconds, idle, every=0.1)

    def read_back(self):
        """Every key once, into the history; a key that cannot be read is a failure."""
        client = self.new_client("at the end")
        listed = client.list_all()
        for key in self.history.keys():
            client.get(key, must=True)
            client.note_listed(key, listed)
        client.close()
        return listed[1]

    def judge(self):
        """A list of complaints: empty where everything is as it was promised."""
        complaints = []
        try:
            self.settle()
            listed = self.read_back()
            complaints += self.verify()
            complaints += copies.complaints_about(self, listed)
        except (AssertionError, OSError) as e:
            complaints.append("%s" % e)
        complaints += self.crashes()
        h = self.history
        complaints += checker.check(h, self.overwrite)
        return complaints + h.wrong[:20] + h.torn[:20] + h.failures[:20]

    def verify(self):
        done = self.larder("verify", "--deep")
        if done.returncode == 0:
            return []
        return ["verify --deep exits with %d: %s" % (
            done.returncode, (done.stdout + done.stderr).decode(errors="replace")[-2000:])]

    def crashes(self):
        """Processes that were ended by a signal that was not the test's SIGKILL, and what a sanitizer
        or an assertion had to say."""
        return [p for p in self.check() if not p.endswith("with -%d" % signal.SIGKILL)]

    def row(self, fault, tried, complaints, seed, notes=""):
        """`tried`: rounds, or faults that really took place. They are judged together, so none of
        them is said to have been survived where there is a complaint."""
        h = self.history
        lost = sum("no order explains" in c or "cannot be read" in c for c in complaints)
        took = "%.0f s" % (time.monotonic() - self.began)
        table.add_row(fault, tried, 0 if complaints else tried, h.operations, h.acknowledged, lost,
                      len(h.wrong), len(h.torn), len(h.by_key), seed,
                      "; ".join(filter(None, (notes, took))))


class FaultTest(unittest.TestCase):
    """Every test prints its seed; FAULTS_SEED repeats it."""

    def setUp(self):
        self.seed = means.seed()
        print("FAULTS_SEED=%d" % self.seed)

    def new_store(self, **options):
        store = Store(**options)
        self.addCleanup(store.close, False)
        return store

    def end(self, store, fault, tried, notes=""):
        """The judgement on a store; it fails the test where there are complaints."""
        complaints = store.judge()
        store.row(fault, tried, complaints, self.seed, notes)
        self.assertEqual(complaints, [], "seed %d:\n%s\n%s" % (
            self.seed, "\n".join(complaints)[:6000], store.logs()))


__all__ = ["FaultTest", "Store", "fetch", "poll"]
