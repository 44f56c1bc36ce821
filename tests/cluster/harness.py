"""Clusters of real processes on real directories and free ports, and what the tests know of larder.

A Cluster starts a master and its volumes, waits until they are ready, and at its end checks that no
process ended by itself, exited with an error, or was complained about by a sanitizer.
"""
import atexit
import ctypes
import fcntl
import glob
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import unittest

import http11
# Tests find all that they need here.
from http11 import Answer, Client, Raw, curl, fetch, poll, quote, raw  # noqa: F401
from layout import file_path, key_of_path, md5, mkv_path, placement, to_bytes  # noqa: F401

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
BIN = os.path.abspath(os.environ.get("LARDER_BIN") or os.path.join(ROOT, "bin"))
SANITIZED = "/san-" in BIN
SMALL = bool(os.environ.get("CLUSTER_SMALL")) or SANITIZED
SLOW = 5 if SANITIZED else 1  # how much longer things may take
COMPLAINTS = re.compile(r"ERROR: \w+Sanitizer|WARNING: ThreadSanitizer|runtime error:|Assertion `")


def _interrupted(*_):
    raise KeyboardInterrupt


signal.signal(signal.SIGTERM, _interrupted)

# --- ports ---

_ports = set()   # that this process has given out
_port_locks = None  # a file in which each byte stands for a port: whose it is, has it locked


def free_port():
    """A port that nobody listens on, and that no other test takes while this process lives."""
    global _port_locks
    if _port_locks is None:
        # Not below TMPDIR: tests that run side by side have one each, and share the ports.
        _port_locks = open("/tmp/larder-test-ports.%d" % os.getuid(), "ab")
    while True:
        port = random.SystemRandom().randrange(10000, 32000)
        if port in _ports:
            continue
        try:
            fcntl.lockf(_port_locks, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", port))
        except OSError:
            continue
        _ports.add(port)
        return port


# --- processes ---

class Server:
    """One process, and the log that it writes."""

    def __init__(self, name, argv, port, ready, log):
        self.name, self.argv, self.port, self.ready, self.log = name, argv, port, ready, log
        self.process = None
        self.asked = False  # to end
        self.problems = []
        self.address = "127.0.0.1:%d" % port
        self.url = "http://" + self.address

    def start(self, wait=True):
        def prepare():  # the process ends with us, however we end
            ctypes.CDLL(None).prctl(1, signal.SIGKILL)
        self.asked = False
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(self.argv, stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=log, preexec_fn=prepare)
        if wait:
            self.wait_ready()
        return self

    def wait_ready(self, seconds=30):
        def is_ready():
            if self.process.poll() is not None:
                raise AssertionError("%s ended with %s at its start:\n%s" % (
                    self.name, self.process.returncode, self.log_tail()))
            try:
                return fetch("GET", self.url + self.ready, timeout=10).status in (200, 404, 403)
            except OSError:
                return False
        poll("%s is ready" % self.name, seconds * SLOW, is_ready)

    @property
    def pid(self):
        return self.process.pid

    def running(self):
        return self.process is not None and self.process.poll() is None

    def check(self):
        """Notes it where the process ended by itself."""
        if self.process is not None and not self.asked and self.process.poll() is not None:
            self.problems.append("%s ended by itself with %s" % (self.name,
                                                                 self.process.returncode))
            self.process = None

    def ask_to_end(self):
        """So that several end at the same time; stop() waits for it."""
        self.check()
        if self.process is not None and not self.asked:
            self.asked = True
            self.process.send_signal(signal.SIGCONT)
            self.process.terminate()

    def stop(self, seconds=20):
        """Asks it to end, which it must do with status 0."""
        self.ask_to_end()
        if self.process is None:
            return
        try:
            code = self.process.wait(seconds * SLOW)
            if code != 0:
                self.problems.append("%s exited with %s after SIGTERM" % (self.name, code))
        except subprocess.TimeoutExpired:
            self.problems.append("%s did not end within %g s of SIGTERM" % (self.name, seconds))
            self.process.kill()
            self.process.wait()
        self.process = None

    def kill(self):
        self.check()
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def pause(self):
        self.process.send_signal(signal.SIGSTOP)

    def resume(self):
        self.process.send_signal(signal.SIGCONT)

    def peak_memory(self):
        """VmHWM in bytes."""
        for line in open("/proc/%d/status" % self.pid):
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
        raise AssertionError("no VmHWM of %s" % self.name)

    def log_text(self):
        if not os.path.exists(self.log):
            return ""
        with open(self.log, errors="replace") as log:
            return log.read()

    def log_tail(self, lines=40):
        return "--- %s\n%s" % (self.name, "\n".join(self.log_text().splitlines()[-lines:]))


def start_together(servers):
    """Starts them at the same time, and waits until all are ready."""
    for server in servers:
        server.start(wait=False)
    for server in servers:
        server.wait_ready()


NGINX_CONF = """daemon off;
master_process off;
%(user)s
pid %(temp)s/nginx.pid;
error_log stderr error;
events { worker_connections 1024; }
http {
  access_log off;
  default_type application/octet-stream;
  client_body_temp_path %(temp)s/body;
  proxy_temp_path %(temp)s/proxy;
  fastcgi_temp_path %(temp)s/fastcgi;
  uwsgi_temp_path %(temp)s/uwsgi;
  scgi_temp_path %(temp)s/scgi;
  server {
    listen 127.0.0.1:%(port)d;
    location / {
      root %(dir)s;
      client_max_body_size 0;
      dav_methods PUT DELETE;
      dav_access group:rw all:r;
      create_full_put_path on;
      autoindex on;
      autoindex_format json;
    }
  }
}
"""


def nginx_server(name, folder, directory, port):
    """nginx with WebDAV, configured as minikeyvalue's `volume` script does it."""
    temp = os.path.join(folder, name + ".nginx")
    os.makedirs(temp, exist_ok=True)
    os.makedirs(directory, exist_ok=True)
    conf = os.path.join(temp, "nginx.conf")
    with open(conf, "w") as f:
        f.write(NGINX_CONF % {"user": "user root;" if os.getuid() == 0 else "", "temp": temp,
                              "dir": directory, "port": port})
    nginx = shutil.which("nginx") or "/usr/sbin/nginx"
    return Server(name, [nginx, "-e", "stderr", "-p", temp, "-c", conf], port, "/",
                  os.path.join(folder, name + ".log"))


class Cluster:
    """A master and volumes. Everything is below `self.dir` and goes away with close()."""

    def __init__(self, volumes=3, replicas=None, subvolumes=None, master_options=(),
                 volume_options=(), nginx=False, start=True):
        self.dir = tempfile.mkdtemp(prefix="larder-cluster.", dir=http11.temp_root())
        self.problems = []
        self.client = Client()
        self.subvolumes = subvolumes or 10
        self.replicas = min(3, volumes) if replicas is None else replicas
        self.master_options = list(master_options)
        self.volume_options = list(volume_options)
        self.volumes = []
        self.master = None
        self.port = free_port()
        self.url = "http://127.0.0.1:%d" % self.port
        atexit.register(self._remove)
        try:
            for _ in range(volumes):
                self.new_volume(nginx=nginx, start=False)
            if start:
                start_together(self.volumes)
            self.master = self.new_master()
            if start:
                self.start_master()
        except BaseException:
            self.close(check=False)
            raise

    # --- its parts ---

    def path(self, *parts):
        return os.path.join(self.dir, *parts)

    def new_volume(self, nginx=False, start=True, options=(), directory=None):
        number = len(self.volumes) + 1
        name, port = "volume%d" % number, free_port()
        directory = directory or self.path(name)
        if nginx:
            server = nginx_server(name, self.dir, directory, port)
        else:
            argv = [BIN + "/larder-volume", "--port", str(port), "--dir", directory,
                    *self.volume_options, *options]
            server = Server(name, argv, port, "/admin/health", self.path(name + ".log"))
        server.dir = directory
        self.volumes.append(server)
        if start:
            server.start()
        return server

    def new_master(self, options=None, volumes=None):
        names = self.names() if volumes is None else volumes
        argv = [BIN + "/larder-master", "--port", str(self.port), "--db", self.path("index"),
                "--replicas", str(self.replicas), "--subvolumes", str(self.subvolumes)]
        if names:
            argv += ["--volumes", ",".join(names)]
        argv += self.master_options if options is None else list(options)
        return Server("master", argv, self.port, "/admin/health", self.path("master.log"))

    def start_master(self, ready=True):
        self.master.start()
        if ready:
            self.wait_master_ready()

    def wait_master_ready(self):
        poll("the master can write", 30 * SLOW,
             lambda: fetch("GET", self.url + "/admin/ready").status == 200)

    def names(self):
        return [v.address for v in self.volumes]

    def servers(self):
        return ([self.master] if self.master else []) + self.volumes

    def volume_of(self, place):
        """The server of a place or a URL on it."""
        address = place.partition("//")[2] if "//" in place else place
        address = address.split("/")[0]
        return next(v for v in self.volumes if v.address == address)

    # --- requests ---

    def key_url(self, key, query=""):
        return self.url + quote(key) + (("?" + query) if query else "")

    def curl(self, key, *args, query="", data=None, timeout=60):
        return curl(*args, self.key_url(key, query), data=data, timeout=timeout)

    def request(self, method, key, body=None, headers=None, query="", follow=True):
        return self.client.request(method, self.key_url(key, query), body, headers, follow)

    def put(self, key, value, **headers):
        headers = {name.replace("_", "-"): text for name, text in headers.items()}
        return self.request("PUT", key, to_bytes(value), headers)

    def get(self, key, **headers):
        headers = {name.replace("_", "-"): text for name, text in headers.items()}
        return self.request("GET", key, None, headers)

    def delete(self, key):
        return self.request("DELETE", key)

    def admin(self, path, server=None):
        """An /admin/ page, as JSON."""
        answer = fetch("GET", (server.url if server else self.url) + path)
        if answer.status != 200:
            raise AssertionError("%s: %r" % (path, answer))
        return json.loads(answer.body)

    def list(self, prefix="/", what="list", **query):
        text = what + "".join("&%s=%s" % (n, quote(str(v))) for n, v in query.items())
        answer = self.request("GET", prefix, query=text)
        if answer.status != 200:
            raise AssertionError("%r" % answer)
        return json.loads(answer.body)

    def record(self, key):
        """What the index knows of a key; None for nothing."""
        answer = self.request("GET", key, query="record", follow=False)
        return json.loads(answer.body) if answer.status == 200 else None

    def work_left(self):
        """Records on which the janitor still has something to do."""
        answer = fetch("GET", self.url + "/admin/keys?limit=1000&work")
        if answer.status != 200:
            raise AssertionError("%r" % answer)
        return json.loads(answer.body)["records"]

    def wait_idle(self, seconds=60):
        """Until the janitor has nothing left to do; else says what is left, and of whom."""
        try:
            poll("the janitor is done", seconds * SLOW, lambda: not self.work_left(), every=0.1)
        except AssertionError as e:
            raise AssertionError("%s; left: %s\nvolumes: %s\nstatus: %s" % (
                e, json.dumps(self.work_left()[:5]), self.admin("/admin/volumes"),
                self.admin("/admin/status"))) from None

    def larder(self, *args, master=True, data=None, timeout=120):
        """Runs the command-line tool."""
        env = dict(os.environ)
        env.pop("LARDER_MASTER", None)
        if master:
            env["LARDER_MASTER"] = self.url
        return subprocess.run([BIN + "/larder", *args], env=env, input=data,
                              stdin=subprocess.DEVNULL if data is None else None,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              timeout=timeout * SLOW)

    # --- files ---

    def files(self, volume):
        """Paths of the values of a volume, relative to its directory."""
        found = []
        for folder, dirs, names in os.walk(volume.dir):
            dirs[:] = [d for d in dirs if d != ".larder"]
            found += [os.path.relpath(os.path.join(folder, n), volume.dir) for n in names]
        return sorted(found)

    def all_files(self):
        return {v.name: self.files(v) for v in self.volumes}

    def places_with(self, key, generation=0):
        """The places where a file of the key really is."""
        found = []
        for volume in self.volumes:
            pattern = glob.escape(volume.dir) + "/{}" + glob.escape(file_path(key, generation))
            found += [volume.address + "/" + p.split("/")[-1 - file_path(key, generation).count("/")]
                      for p in glob.glob(pattern.format("sv*"))]
            if os.path.exists(volume.dir + file_path(key, generation)):
                found.append(volume.address)
        return found

    # --- the end ---

    def check(self):
        """What went wrong by itself so far, as a list of texts."""
        for server in self.servers():
            server.check()
            self.problems += server.problems
            server.problems = []
            complaint = COMPLAINTS.search(server.log_text())
            if complaint:
                self.problems.append("%s: %s" % (server.name, complaint.group(0)))
        return self.problems

    def logs(self):
        return "\n".join(s.log_tail() for s in self.servers())

    def close(self, check=True):
        self.client.close()
        for server in self.servers() if check else ():
            server.ask_to_end()
        for server in self.servers():
            try:
                if check:
                    server.stop()
                else:
                    server.kill()
            except ProcessLookupError:
                pass
        problems = self.check() if check else []
        logs = self.logs() if problems else ""
        self._remove()
        if problems:
            raise AssertionError("\n".join(problems + [logs]))

    def _remove(self):
        for server in self.servers():
            if server.running():
                server.process.kill()
                server.process.wait()
        shutil.rmtree(self.dir, ignore_errors=True)
        atexit.unregister(self._remove)


class ClusterTest(unittest.TestCase):
    """Tests that share one cluster, made with OPTIONS; OPTIONS = None: each makes its own."""

    OPTIONS = None
    cluster = None

    @classmethod
    def setUpClass(cls):
        if cls.OPTIONS is not None:
            cls.cluster = Cluster(**cls.OPTIONS)

    @classmethod
    def tearDownClass(cls):
        if cls.cluster is not None:
            cls.cluster.close()
            cls.cluster = None

    def new_cluster(self, **options):
        cluster = Cluster(**options)
        self.addCleanup(self._close, cluster)
        return cluster

    def _close(self, cluster):
        """With the logs of a test that has failed: afterwards they are gone."""
        if self._has_failed():
            print(cluster.logs(), file=sys.stderr)
        cluster.close()

    def _has_failed(self):
        return len(self.result.failures) + len(self.result.errors) > self.seen

    def run(self, result=None):
        self.result, self.seen = result, len(result.failures) + len(result.errors)
        self.addCleanup(self._show_logs)
        return super().run(result)

    def _show_logs(self):
        """Of the cluster that all tests of the class share; the others have shown theirs."""
        if self.cluster and self._has_failed():
            print(self.cluster.logs(), file=sys.stderr)

    _keys = 0

    def key(self, suffix=""):
        """A key that nobody has used."""
        ClusterTest._keys += 1
        return "/%s/%d%s" % (self.id().split(".")[-1], ClusterTest._keys, suffix)

    def soon(self, request, *statuses):
        """As expect(), for a request on a key that the janitor may be working on just now (409)."""
        answer = poll("the key is free", 20 * SLOW,
                      lambda: next((a for a in [request()] if a.status != 409), None))
        return self.expect(answer, *statuses)

    def expect(self, answer, *statuses):
        """The answer has one of these statuses."""
        if answer.status not in statuses:
            raise AssertionError("expected %s, got %r" % (" or ".join(map(str, statuses)), answer))
        return answer
