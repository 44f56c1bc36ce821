"""A store with several masters over etcd, in the fault suite: clients go to any of the masters."""
import random

import means
import masters as cluster_masters
from harness import free_port, poll
from store import FaultTest, Store
from workload import Client


def need_etcd():
    means.need_tools("etcd")


class SeveralClient(Client):
    """Each request begins at a master by chance, and follows it to the writer and to volumes."""

    def __init__(self, store, name, timeout=20):
        super().__init__(store, name, timeout)
        self.random = random.Random(name)

    def request(self, method, path, body=None):
        addresses = [m.address for m in self.store.masters]
        host, self.digest = self.random.choice(addresses), None
        for _ in range(10):
            status, headers, data = self._once(method, host, path, body)
            if host in addresses and status == 302:
                self.digest = headers["Content-Md5"]
            if status not in (302, 307):
                return status, data, host in addresses
            host, _, path = headers["Location"].partition("//")[2].partition("/")
            path = "/" + path
        raise OSError("too many redirects")


class Several(cluster_masters.Masters, Store):
    """Store's volumes, clients and judgement; Masters' etcd and masters."""

    def __init__(self, masters=3, etcd_folders=None, **options):
        self.etcd_folders = etcd_folders or {}
        self.ports = [free_port() for _ in range(masters)]
        super().__init__(masters=masters, **options)

    def index_place(self, number):
        return self.place("index%d" % number)

    def etcd_place(self, name):
        return self.etcd_folders.get(name) or self.path(name)

    def _host(self, name):
        return self._address(name)

    def command(self, name, argv):
        return self._command(name, argv)

    def new_volume(self, nginx=False, start=True, options=(), directory=None):
        known = ",".join("%s:%d" % (self._address("master%d" % (i + 1)), port)
                         for i, port in enumerate(self.ports))
        self.port = self.ports[0]
        server = Store.new_volume(self, nginx, False, options, directory)
        server.argv[server.argv.index("--master") + 1] = known
        return server.start() if start else server

    def plain_master(self, options, volumes):
        number = len(self.masters) + 1
        self.port = self.ports[number - 1]
        server = super(Store, self).new_master(options, volumes)
        server.argv += ["--listen", self._address("master%d" % number)]
        return server

    def new_client(self, name="test", timeout=20):
        return SeveralClient(self, name, timeout)

    def start_again(self):
        for server in self.etcds + self.volumes + self.masters:
            if server.process is not None and server.process.poll() is not None:
                server.process = None
            if server.process is None:
                server.start(wait=False)
        for server in self.etcds + self.volumes + self.masters:
            server.wait_ready()

    def settle(self, seconds=120):
        self.wait_master_ready()
        self.url = self.writer(60).url
        self.volumes_up()

        def idle():
            self.url = self.writer(60).url  # whose janitor is the one that works; it may change yet
            try:
                return self.admin("/admin/status")["work"] == 0 and not self.work_left()
            except (AssertionError, OSError):
                return False  # it had lost etcd a moment ago
        poll("the janitor has no work left", seconds, idle, every=0.1)

    def judge(self):
        complaints = super().judge()
        different = self.same()
        if different:
            complaints.append("the masters differ: " + different)
        return complaints


class SeveralTest(FaultTest):
    def new_several(self, **options):
        need_etcd()
        store = Several(**options)
        self.addCleanup(store.close, False)
        return store


__all__ = ["Several", "SeveralTest"]
