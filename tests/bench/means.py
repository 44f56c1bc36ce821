"""What the rows measure with: larder's servers, nginx, the disk, LevelDB; and the load generator."""
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "cluster"))
import http11  # noqa: E402
from harness import BIN, ROOT, Server, fetch, free_port, poll  # noqa: E402, F401

TOOLS = os.environ.get("BENCH_TOOLS") or os.path.join(ROOT, "build/release/tests/bench")
MIB = 1024 * 1024


class Failed(Exception):
    """A measurement that came to nothing; its text is for the table."""


def run(argv, timeout, env=None):
    """A command's standard output."""
    try:
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, timeout=timeout, env=env)
    except subprocess.TimeoutExpired:
        raise Failed("%s ran for more than %d s" % (os.path.basename(argv[0]), timeout))
    if done.returncode:
        raise Failed("%s: %s" % (" ".join(argv[:3]), (done.stderr.decode(errors="replace").strip()
                                                       or "exit status %d" % done.returncode)))
    return done.stdout


def load(url, op, clients, seconds=None, **options):
    """`larder bench`: its JSON. An error is no result: what is answered wrongly is answered fast."""
    argv = [BIN + "/larder", "bench", url, "--op", op, "--clients", str(clients), "--json"]
    if seconds is not None:
        argv += ["--duration", "%dms" % (seconds * 1000)]
    for name, value in options.items():
        argv += ["--" + name, str(value)]
    try:
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, timeout=600)
    except subprocess.TimeoutExpired:
        raise Failed("larder bench --op %s did not end in 600 s" % op)
    if not done.stdout:
        raise Failed(done.stderr.decode(errors="replace").strip())
    found = json.loads(done.stdout)
    if found["errors"] or not found["operations"]:
        raise Failed("%s at %s: %d errors: %s" % (op, url, found["errors"], "; ".join(
            found["examples"].values()) or "no operation ended"))
    return found


# --- larder ---

class Store:
    """A master and its volumes, below a directory of their own."""

    def __init__(self, folder, sync="none", volumes=3, subvolumes=10):
        self.dir, self.sync, self.subvolumes = folder, sync, subvolumes
        os.makedirs(folder)
        self.db = os.path.join(folder, "index")
        self.volumes = [self._volume(i) for i in range(volumes)]
        self.port = free_port()
        self.master = Server("master", [
            BIN + "/larder-master", "--port", str(self.port), "--db", self.db, "--sync", sync,
            "--replicas", str(min(3, volumes)), "--subvolumes", str(subvolumes), "--volumes",
            ",".join(v.address for v in self.volumes), "--log-level", "error"],
            self.port, "/admin/health", os.path.join(folder, "master.log"))
        self.url = self.master.url

    def _volume(self, number):
        name, port = "volume%d" % number, free_port()
        home = os.path.join(self.dir, name)
        server = Server(name, [
            BIN + "/larder-volume", "--port", str(port), "--dir", home, "--sync", self.sync,
            "--scrub-days", "0", "--reserve", "64M", "--log-level", "error"],
            port, "/admin/health", os.path.join(self.dir, name + ".log"))
        server.dir = home
        return server

    def fill(self, keys):
        """An index of so many keys, whose values are nowhere; before the start."""
        run([TOOLS + "/tool_fill", "index", self.db, str(keys), str(self.subvolumes),
             *[v.address for v in self.volumes]], 600)

    def start(self):
        for volume in self.volumes:
            volume.start()
        self.master.start()
        poll("the master can write", 60,
             lambda: fetch("GET", self.url + "/admin/ready").status == 200)
        poll("the master has read its index", 120,
             lambda: b"\nlarder_index_warming 0" in fetch("GET", self.url + "/admin/metrics").body)
        return self

    def memory(self):
        """(most that was resident, private memory now) of the master, in MiB."""
        found = {}
        for line in open("/proc/%d/status" % self.master.pid):
            name, _, rest = line.partition(":")
            if name in ("VmHWM", "RssAnon"):
                found[name] = int(rest.split()[0]) / 1024
        return found["VmHWM"], found["RssAnon"]

    def restart(self, key):
        """Seconds from the start of the master to its first answer, and to its first redirect."""
        self.master.stop()
        began = time.monotonic()
        self.master.start(wait=False)
        first, client = None, None
        while time.monotonic() - began < 60:
            try:
                client = client or http11.Client()
                status = client.request("GET", self.url + key, follow=False).status
            except OSError:
                client = None
                time.sleep(0.002)
                continue
            first = first or time.monotonic() - began
            if status == 302:
                return first, time.monotonic() - began
            time.sleep(0.002)
        raise Failed("the master did not answer for %s within 60 s" % key)

    def stop(self, remove=True):
        for server in [self.master, *self.volumes]:
            try:
                server.stop(60)
            except ProcessLookupError:
                pass
        if remove:
            shutil.rmtree(self.dir, ignore_errors=True)


# --- nginx ---

NGINX_CONF = """daemon off;
worker_processes auto;
%(user)s
pid %(temp)s/nginx.pid;
error_log stderr crit;
worker_rlimit_nofile 8192;
events { worker_connections 4096; }
http {
  access_log off;
  sendfile on;
  tcp_nopush on;
  keepalive_requests 1000000000;
  default_type application/octet-stream;
  client_body_temp_path %(temp)s/body;
  proxy_temp_path %(temp)s/proxy;
  fastcgi_temp_path %(temp)s/fastcgi;
  uwsgi_temp_path %(temp)s/uwsgi;
  scgi_temp_path %(temp)s/scgi;
  server {
    listen 127.0.0.1:%(port)d reuseport;
    location /302/ { return 302 http://127.0.0.1:3001/sv03/64/37/L2JlbmNoLzAwMDAwMDAwMDE=; }
    location /404/ { return 404; }
    location / {
      root %(dir)s;
      client_max_body_size 0;
      dav_methods PUT DELETE;
      create_full_put_path on;
    }
  }
}
"""


def nginx_path():
    return shutil.which("nginx") or shutil.which("/usr/sbin/nginx")


class Nginx(Server):
    """Debian's nginx as the limit of what can be answered here."""

    def __init__(self, folder):
        temp, home = os.path.join(folder, "temp"), os.path.join(folder, "files")
        os.makedirs(temp)
        os.makedirs(home)
        port = free_port()
        conf = os.path.join(temp, "nginx.conf")
        with open(conf, "w") as f:
            f.write(NGINX_CONF % {"user": "user root;" if os.getuid() == 0 else "", "temp": temp,
                                  "dir": home, "port": port})
        super().__init__("nginx", [nginx_path(), "-e", "stderr", "-p", temp, "-c", conf], port,
                         "/404/", os.path.join(folder, "nginx.log"))


# --- the disk, LevelDB ---

# ext4 without a journal passes over inodes that were freed within the last minute one by one, so who
# removes thousands of files makes the next turns slow: they stay until all is removed, large ones
# without their bytes.

def empty_files(folder):
    for home, _, names in os.walk(folder):
        for name in names:
            os.truncate(os.path.join(home, name), 0)


def raw_writes(folder, size, threads, seconds, sync, files=0):
    """Files a second that so many threads write."""
    home = tempfile.mkdtemp(prefix="raw.", dir=folder)
    try:
        found = json.loads(run([TOOLS + "/common_rawdisk", home, str(size), str(threads),
                                str(seconds), str(files), "sync" if sync else "none"], 600))
        return found["files"] / found["seconds"]
    finally:
        if size >= MIB:
            empty_files(home)


def placed_files(folder, size, seconds, sync):
    """Values a second that the file systems of three volumes could take."""
    home = tempfile.mkdtemp(prefix="placed.", dir=folder)
    found = json.loads(run([TOOLS + "/common_placed", home, str(size), "3", str(seconds),
                            "sync" if sync else "none"], 600))
    return found["files"] / found["seconds"] / 3


def ldb_loop(folder, keys, threads, seconds, what):
    """Operations a second on a bare LevelDB, which stays for the next turn."""
    found = json.loads(run([TOOLS + "/common_ldbloop", os.path.join(folder, "leveldb"), str(keys),
                            str(threads), str(seconds), what], 600))
    return found["operations"] / found["seconds"]


def file_system(path):
    """Its name, as "ext4": what the synced rows were measured on."""
    kind = subprocess.run(["df", "--output=fstype", path], stdout=subprocess.PIPE).stdout
    return kind.decode().split("\n")[1].strip() if b"\n" in kind else "unknown"
