"""Bad input, by raw sockets, to the master and to a volume alike: each has its answer, closes the
connection where the framing is in doubt, and harms nobody else."""
import os
import socket
import time
import unittest

from harness import SANITIZED, SLOW, ClusterTest, Raw, fetch, poll, raw

MIB = 1024 * 1024


def head(first, *lines, host=True):
    lines = list(lines) + (["Host: x"] if host else [])
    return ("\r\n".join([first, *lines]) + "\r\n\r\n").encode("latin-1")


def put(*lines, body=b""):
    return head("PUT /sv00/bad HTTP/1.1", *lines) + body


CHUNKED = "Transfer-Encoding: chunked"
GET = "GET /sv00/bad HTTP/1.1"

# What is sent, and the status; all of these close the connection.
FRAMING = [
    (put("Content-Length: 3", CHUNKED, body=b"3\r\nabc\r\n0\r\n\r\n"), 400),
    (put("Content-Length: 3", "Content-Length: 3", body=b"abc"), 400),
    (put("Content-Length: 3", "Content-Length: 4", body=b"abcd"), 400),
    (put("Content-Length: 3, 3", body=b"abc"), 400),
    (put("Content-Length: -1"), 400),
    (put("Content-Length: +2", body=b"ab"), 400),
    (put("Content-Length: 0x10", body=b"x" * 16), 400),
    (put("Content-Length: 9223372036854775808"), 400),
    (put("Content-Length: 99999999999999999999999"), 400),
    (put("Content-Length: 3x", body=b"abc"), 400),
    (put("Content-Length:", body=b"abc"), 400),
    (put("Content-Length: 1 2", body=b"abc"), 400),
    (put("Content-Length : 3", body=b"abc"), 400),
    (head(GET, "X-Space : 1"), 400),
    (head(GET, "X-Folded: a\r\n b"), 400),
    (head(GET, "X-Folded: a\r\n\tb"), 400),
    (head(GET, " X-Leading: a"), 400),
    (head(GET, "X-Nul: a\0b"), 400),
    (head("GET /sv00/b\0ad HTTP/1.1"), 400),
    (head(GET, "no colon"), 400),
    (head(GET, ": no name"), 400),
    (head(GET, "X-Cr: a\rb"), 400),
    (head(GET, host=False), 400),
    (head(GET, "Host: y"), 400),
    (b"GET /sv00/bad HTTP/1.1\nHost: x\n\n", 400),
    (b"GET /sv00/bad HTTP/1.1\r\nHost: x\nX-A: 1\r\n\r\n", 400),
    (head(GET, "Content-Length: 3") + b"abc", 400),
    (head(GET, CHUNKED) + b"0\r\n\r\n", 400),
    (head("HEAD /sv00/bad HTTP/1.1", "Content-Length: 1") + b"a", 400),
    (head("GET  /sv00/bad HTTP/1.1"), 400),
    (head("GET /sv00/a b HTTP/1.1"), 400),
    (head("GET sv00 HTTP/1.1"), 400),
    (head("G@T /sv00/bad HTTP/1.1"), 400),
    (head("GET /sv00/bad"), 400),
    (head("GET /sv00/bad http/1.1"), 400),
    (put(CHUNKED, CHUNKED, body=b"0\r\n\r\n"), 400),
    (put("Transfer-Encoding: gzip", body=b"abc"), 501),
    (put("Transfer-Encoding: gzip, chunked", body=b"0\r\n\r\n"), 501),
    (put("Transfer-Encoding: chunked, gzip", body=b"0\r\n\r\n"), 501),
    (put("Transfer-Encoding: identity", body=b"abc"), 501),
    (head("GET /sv00/bad HTTP/2.0"), 505),
    (head("GET /sv00/bad HTTP/1.2"), 505),
    (head("GET /sv00/bad HTTP/3.0"), 505),
    (put("Expect: 200-ok", "Content-Length: 3", body=b"abc"), 417),
    (head("GET /" + "u" * 9000 + " HTTP/1.1"), 414),
    (head(GET, "X-Long: " + "h" * 17000), 431),
    (head(GET, *("X-%d: 1" % i for i in range(101))), 431),
]

# Bodies in chunks that end the request with 400.
CHUNKS = [b"x\r\nabc\r\n0\r\n\r\n", b"-3\r\nabc\r\n0\r\n\r\n", b"3\nabc\r\n0\r\n\r\n",
          b"3\r\nabcd\r\n0\r\n\r\n", b"3\r\nabc\n0\r\n\r\n", b"10000000000000000\r\nabc\r\n0\r\n\r\n",
          b"8000000000000000\r\nabc\r\n", b"\r\nabc\r\n0\r\n\r\n", b"0x3\r\nabc\r\n0\r\n\r\n",
          b"3\0\r\nabc\r\n0\r\n\r\n",
          b"3;" + b"e" * 5000 + b"\r\nabc\r\n0\r\n\r\n", b"3\r\nabc\r\n0\r\n" + b"T: " + b"t" * 10000]

# Answered, and the connection goes on.
REQUESTS = [
    (head("PUT /sv00/bad HTTP/1.1"), 411),
    (head("BREW /sv00/bad HTTP/1.1"), 405),
    (head("POST /sv00/bad HTTP/1.1", "Content-Length: 3") + b"abc", 405),
    (head("GET /%zz HTTP/1.1"), 400),
    (head("GET /a%00b HTTP/1.1"), 400),
    (head("GET /a% HTTP/1.1"), 400),
]


class BothServers(ClusterTest):
    OPTIONS = {"volumes": 1}

    def servers(self):
        return ((s.name, s.port) for s in (self.cluster.master, self.cluster.volumes[0]))

    def alive(self):
        """Everybody else is served as before."""
        self.expect(fetch("GET", self.cluster.url + "/admin/health"), 200)
        self.expect(fetch("GET", self.cluster.volumes[0].url + "/admin/health"), 200)
        self.assertEqual(self.cluster.check(), [])


class BadInputTest(BothServers):
    def test_framing_errors_are_answered_and_closed(self):
        for name, port in self.servers():
            for data, status in FRAMING:
                with self.subTest(server=name, data=data[:120]), Raw(port) as connection:
                    answer = connection.send(data).answer()
                    self.assertIsNotNone(answer)
                    self.expect(answer, status)
                    self.assertEqual(answer.headers.get("connection", "").lower(), "close")
                    self.assertTrue(connection.closed())
        self.alive()
        self.expect(fetch("GET", self.cluster.url + "/sv00/bad"), 404)
        self.expect(fetch("GET", self.cluster.volumes[0].url + "/sv00/bad"), 404)

    def test_bad_chunks(self):
        for name, port in self.servers():
            for data in CHUNKS:
                with self.subTest(server=name, data=data[:60]), Raw(port) as connection:
                    answer = connection.send(put(CHUNKED, body=data)).answer()
                    self.expect(answer, 400)
                    self.assertTrue(connection.closed())
        self.alive()
        for server in (self.cluster.url, self.cluster.volumes[0].url):
            self.expect(fetch("GET", server + "/sv00/bad"), 404)

    def test_bad_requests_that_go_on(self):
        for name, port in self.servers():
            for data, status in REQUESTS:
                with self.subTest(server=name, data=data[:60]), Raw(port) as connection:
                    self.expect(connection.send(data).answer(), status)
                    answer = connection.send(head("GET /admin/health HTTP/1.1")).answer()
                    self.assertIsNotNone(answer)
                    self.expect(answer, 200)

    def test_every_way_to_cut_a_request(self):
        data = put("Content-Length: 5", body=b"12345")
        for _, port in self.servers():
            for cut in range(1, len(data), 1 if not SANITIZED else 5):
                with Raw(port) as connection:
                    connection.send(data[:cut])
        self.alive()
        for server in (self.cluster.url, self.cluster.volumes[0].url):
            self.expect(fetch("GET", server + "/sv00/bad"), 404)

    def test_noise(self):
        for _, port in self.servers():
            for size in (1, 100, 10000, 100000):
                with Raw(port) as connection:
                    connection.send(os.urandom(size))
                    connection.sock.shutdown(socket.SHUT_WR)
                    answer = connection.answer()
                    self.assertTrue(answer is None or answer.status >= 400)
        self.alive()

    def test_limits_are_inclusive(self):
        for _, port in self.servers():
            self.expect(raw(port, head("GET /admin/health HTTP/1.1",
                                       *("X-%d: 1" % i for i in range(99)))), 200)
            self.expect(raw(port, head("GET /admin/health HTTP/1.1", "X-Long: " + "h" * 15000)),
                        200)

    def test_http_1_0(self):
        for _, port in self.servers():
            with Raw(port) as connection:
                connection.send(b"GET /admin/health HTTP/1.0\r\n\r\n")
                self.expect(connection.answer(), 200)
                self.assertTrue(connection.closed())

    def test_absolute_form(self):
        for _, port in self.servers():
            answer = raw(port, head("GET http://x/admin/health HTTP/1.1"))
            self.expect(answer, 200, 400)

    def test_no_header_through_the_location(self):
        answer = raw(self.cluster.port, head("GET /a%0d%0aX-Evil:%201 HTTP/1.1"))
        self.expect(answer, 404)
        self.expect(self.cluster.put("/a\r\nX-Evil: 1", "v"), 201)
        answer = raw(self.cluster.port, head("GET /a%0d%0aX-Evil:%201 HTTP/1.1"))
        self.expect(answer, 302)
        self.assertNotIn("x-evil", answer.headers)


class PipeliningTest(BothServers):
    def test_answers_come_in_order(self):
        for _, port in self.servers():
            paths = ["/admin/health", "/sv00/none", "/admin/metrics", "/%zz"] * 10
            statuses = [200, 404, 200, 400] * 10
            with Raw(port) as connection:
                connection.send(b"".join(head("GET %s HTTP/1.1" % p) for p in paths))
                for status in statuses:
                    self.expect(connection.answer(), status)

    def test_requests_with_bodies(self):
        c = self.cluster
        keys = ["/pipe/%d" % i for i in range(10)]
        data = b""
        for i, key in enumerate(keys):
            body = b"v" * (1 + i * 1000)
            if i % 2:
                data += head("PUT %s HTTP/1.1" % key, "Content-Length: %d" % len(body)) + body
            else:
                data += head("PUT %s HTTP/1.1" % key, CHUNKED)
                data += b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
            data += head("GET %s HTTP/1.1" % key)
        with Raw(c.port) as connection:
            connection.send(data)
            for key in keys:
                self.expect(connection.answer(), 201)
                self.expect(connection.answer(), 302)
        for i, key in enumerate(keys):
            self.assertEqual(len(c.get(key).body), 1 + i * 1000)

    def test_nothing_after_an_error(self):
        for _, port in self.servers():
            with Raw(port) as connection:
                connection.send(head("GET /admin/health HTTP/1.1") + put("Content-Length: x")
                                + head("DELETE /pipe/x HTTP/1.1"))
                self.expect(connection.answer(), 200)
                self.expect(connection.answer(), 400)
                self.assertTrue(connection.closed())

    def test_body_byte_by_byte(self):
        data = head("PUT /slowly HTTP/1.1", CHUNKED) + b"3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nT: 1\r\n\r\n"
        with Raw(self.cluster.port) as connection:
            for i in range(len(data)):
                connection.send(data[i:i + 1])
            self.expect(connection.answer(), 201)
        self.assertEqual(self.cluster.get("/slowly").body, b"abcde")


class EarlyAnswersTest(ClusterTest):
    """A refusal comes before the body where the client waits for it."""

    OPTIONS = {"volumes": 1, "master_options": ["--max-value", "1M"]}

    def early(self, path, length, status, *lines):
        with Raw(self.cluster.port) as connection:
            connection.send(head("PUT %s HTTP/1.1" % path, "Content-Length: %d" % length,
                                 "Expect: 100-continue", *lines))
            self.expect(connection.answer(), status)

    def test_refusals_before_the_body(self):
        self.expect(self.cluster.put("/early", "x"), 201)
        self.early("/early", 100, 403)
        self.early("/large", MIB + 1, 413)
        self.early("/" + "k" * 1024, 100, 414)
        self.early("/empty", 0, 411)
        self.early("/%zz", 100, 400)

    def test_conflict_before_the_body(self):
        request = head("PUT /both HTTP/1.1", "Content-Length: 3", "Expect: 100-continue")
        with Raw(self.cluster.port) as one, Raw(self.cluster.port) as two:
            self.expect(one.send(request).answer(), 100)
            self.expect(two.send(request).answer(), 409)
            self.expect(one.send(b"abc").answer(), 201)

    def test_refused_body_is_dropped_and_the_connection_goes_on(self):
        self.expect(self.cluster.put("/there", "x"), 201)
        with Raw(self.cluster.port) as connection:
            connection.send(head("PUT /there HTTP/1.1", "Content-Length: 100000") + b"x" * 100000)
            self.expect(connection.answer(), 403)
            self.expect(connection.send(head("GET /there HTTP/1.1")).answer(), 302)

    def test_answer_is_not_lost_to_a_reset(self):
        self.expect(self.cluster.put("/lost", "x"), 201)
        for _ in range(5):
            answer = self.cluster.curl("/lost", "-T", "-", "-H", "Expect:", data=b"x" * (20 * MIB))
            self.expect(answer, 403)

    def test_broken_upload_is_not_stored(self):
        c = self.cluster
        for data in (head("PUT /broken HTTP/1.1", "Content-Length: 100000") + b"x" * 50000,
                     head("PUT /broken HTTP/1.1", CHUNKED) + b"5\r\nabcde\r\n"):
            with Raw(c.port) as connection:
                connection.send(data)
            poll("the key is free again", 20 * SLOW,
                 lambda: c.request("DELETE", "/broken").status == 404)
            self.expect(c.get("/broken"), 404)
        poll("no file is left", 20 * SLOW, lambda: not c.places_with("/broken"))


class SlowClientsTest(BothServers):
    def test_slow_head_is_ended(self):
        """Ten seconds for a head; both servers at once, and another is served meanwhile."""
        connections = [Raw(port, 60) for _, port in self.servers()]
        began = time.monotonic()
        for connection in connections:
            connection.send(b"GET /admin/health HTT")
        self.alive()
        for connection in connections:
            answer = connection.answer()
            self.assertIsNotNone(answer)
            self.expect(answer, 408)
            self.assertTrue(connection.closed())
            connection.close()
        self.assertGreater(time.monotonic() - began, 8)
        self.assertLess(time.monotonic() - began, 15 * SLOW)

    def test_many_idle_connections(self):
        for _, port in self.servers():
            connections = [Raw(port) for _ in range(200)]
            self.alive()
            self.expect(connections[100].send(head("GET /admin/health HTTP/1.1")).answer(), 200)
            for connection in connections:
                connection.close()


class ConnectionLimitTest(ClusterTest):
    def test_more_than_the_limit(self):
        c = self.new_cluster(volumes=1, master_options=["--max-connections", "20", "--threads", "1"])
        connections = []
        try:
            for _ in range(25):
                connections.append(Raw(c.port).send(b"GET /x HTTP/1.1\r\n"))
            poll("one is refused", 20 * SLOW, lambda: self.refused(c.port))
            self.expect(raw(c.port, head("GET /admin/health HTTP/1.1")), 200)
        finally:
            for connection in connections:
                connection.close()
        poll("clients are served again", 20 * SLOW, lambda: self.status(c.port) == 404)

    def refused(self, port):
        return self.status(port) == 503

    def status(self, port):
        answer = raw(port, head("GET /x HTTP/1.1"))
        return answer.status if answer else None


if __name__ == "__main__":
    unittest.main()
