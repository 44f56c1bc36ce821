"""HTTP as the tests speak it: keys in URLs, curl as a process, and raw sockets that send anything."""
import os
import socket
import subprocess
import tempfile
import time

UNRESERVED = set(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~/")


def quote(key):
    """A key (bytes or str) as the path of a URL."""
    if isinstance(key, str):
        key = key.encode()
    return "".join(chr(b) if b in UNRESERVED else "%%%02X" % b for b in key)


class Answer:
    """What came back: status, headers (names in lower case), body; `hops` are those before it."""

    def __init__(self, status, headers, body, hops=(), code=0, error=""):
        self.status, self.headers, self.body = status, headers, body
        self.hops, self.code, self.error = list(hops), code, error

    def __repr__(self):
        return "Answer(%s, %r, %r%s)" % (self.status, self.headers, self.body[:300],
                                         ", curl: %s" % self.error if self.code else "")


def parse_head(head):
    """Status and headers of a head (bytes, without the empty line)."""
    lines = head.decode("latin-1").split("\r\n")
    headers = {}
    for line in lines[1:]:
        name, _, value = line.partition(":")
        headers[name.strip().lower()] = value.strip()
    return int(lines[0].split(" ")[1]), headers


def curl(*args, data=None, timeout=60):
    """Runs curl with these arguments; redirects are followed where -L is among them."""
    with tempfile.NamedTemporaryFile(prefix="larder-head.") as head, \
            tempfile.NamedTemporaryFile(prefix="larder-body.") as body:
        done = subprocess.run(
            ["curl", "-sS", "-q", "-g", "--path-as-is", "--noproxy", "*", "-m", str(timeout),
             "-D", head.name, "-o", body.name, *args],
            input=data, stdin=subprocess.DEVNULL if data is None else None,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=timeout + 30)
        heads = [h for h in open(head.name, "rb").read().split(b"\r\n\r\n") if h.strip()]
        answers = [parse_head(h) for h in heads]
        answers = [(s, h) for s, h in answers if s >= 200] or [(0, {})]
        status, headers = answers[-1]
        return Answer(status, headers, open(body.name, "rb").read(), answers[:-1],
                      done.returncode, done.stderr.decode(errors="replace").strip())


class Raw:
    """A connection on which anything can be sent."""

    def __init__(self, port, timeout=20, host="127.0.0.1", rcvbuf=None):
        self.sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        if rcvbuf:  # so that it takes little before it is read
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, rcvbuf)
        self.sock.settimeout(timeout)
        try:
            self.sock.connect((host, port))
        except BaseException:
            self.sock.close()
            raise
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.sock.close()

    def send(self, data):
        """Sends; a connection that the other side has closed is no error here."""
        try:
            self.sock.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            pass
        return self

    def _more(self):
        try:
            data = self.sock.recv(1 << 18)
        except ConnectionResetError:
            data = b""
        self.buffer += data
        return bool(data)

    def head(self):
        """The next head; None where the connection ends before it."""
        while b"\r\n\r\n" not in self.buffer:
            if not self._more():
                return None
        head, _, self.buffer = self.buffer.partition(b"\r\n\r\n")
        return parse_head(head)

    def answer(self, method="GET"):
        """The next whole answer (a 100 Continue is one); None where the connection ended."""
        head = self.head()
        if head is None:
            return None
        status, headers = head
        if method == "HEAD" or status < 200 or status in (204, 304):
            return Answer(status, headers, b"")
        if headers.get("transfer-encoding") == "chunked":
            return Answer(status, headers, self._chunked())
        length = headers.get("content-length")
        while length is None or len(self.buffer) < int(length):
            if not self._more():
                break
        length = len(self.buffer) if length is None else int(length)
        body, self.buffer = self.buffer[:length], self.buffer[length:]
        return Answer(status, headers, body)

    def _line(self):
        while b"\r\n" not in self.buffer:
            if not self._more():
                raise ConnectionError("the answer broke off")
        line, _, self.buffer = self.buffer.partition(b"\r\n")
        return line

    def _chunked(self):
        body = b""
        while True:
            size = int(self._line().split(b";")[0], 16)
            while len(self.buffer) < size + 2:
                if not self._more():
                    raise ConnectionError("the answer broke off")
            body += self.buffer[:size]
            self.buffer = self.buffer[size + 2:]
            if size == 0:
                return body

    def closed(self, seconds=10):
        """True where the other side closes within so many seconds, and sends nothing more."""
        self.sock.settimeout(seconds)
        try:
            return not self.buffer and not self._more()
        except socket.timeout:
            return False


def raw(port, data, method="GET", timeout=20):
    """Sends bytes on a connection of their own, and returns the first answer (None: closed)."""
    with Raw(port, timeout) as connection:
        return connection.send(data).answer(method)


class Client:
    """A client with kept connections, for many requests; not for several threads at once."""

    def __init__(self, timeout=60):
        self.timeout, self.kept = timeout, {}

    def close(self):
        for connection in self.kept.values():
            connection.close()
        self.kept = {}

    def request(self, method, url, body=None, headers=None, follow=True):
        """One request; raises OSError where the connection fails."""
        hops = []
        for _ in range(8):
            host, _, path = url.partition("//")[2].partition("/")
            answer = self._once(method, host, "/" + path, body, headers or {})
            if not follow or answer.status not in (301, 302, 307, 308):
                answer.hops = hops
                return answer
            hops.append((answer.status, answer.headers))
            url = answer.headers["location"]
            if url.startswith("/"):
                url = "http://" + host + url
        raise OSError("too many redirects")

    def _once(self, method, host, path, body, headers):
        head = "%s %s HTTP/1.1\r\nHost: %s\r\n" % (method, path, host)
        for name, value in headers.items():
            head += "%s: %s\r\n" % (name, value)
        if body is not None:
            head += "Content-Length: %d\r\n" % len(body)
        data = head.encode("latin-1") + b"\r\n" + (body or b"")
        for again in (True, False):
            old = host in self.kept
            connection = self.kept.get(host) or self._connect(host)
            self.kept[host] = connection
            try:
                answer = connection.send(data).answer(method)
            except (OSError, ValueError):
                self.drop(host)
                raise
            if answer is None:
                self.drop(host)
                # A kept connection may have been closed meanwhile: once more, on a new one.
                if old and again and method in ("GET", "HEAD"):
                    continue
                raise ConnectionError("closed without an answer")
            length = answer.headers.get("content-length")
            whole = method == "HEAD" or not length or len(answer.body) == int(length)
            if answer.headers.get("connection", "").lower() == "close" or not whole:
                self.drop(host)
            if not whole:
                raise ConnectionError("the answer broke off")
            return answer

    def _connect(self, host):
        name, _, port = host.rpartition(":")
        return Raw(int(port), self.timeout, "127.0.0.1" if name == "localhost" else name)

    def drop(self, host):
        connection = self.kept.pop(host, None)
        if connection:
            connection.close()


def poll(what, seconds, condition, every=0.02):
    """Waits until condition() says something true, and returns it; fails after so many seconds."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError("not within %g s: %s" % (seconds, what))
        time.sleep(every)


def fetch(method, url, body=None, headers=None, follow=True, timeout=60):
    """One request on a connection of its own."""
    client = Client(timeout)
    try:
        return client.request(method, url, body, headers, follow)
    finally:
        client.close()


def temp_root():
    return os.environ.get("TMPDIR", "/tmp")
