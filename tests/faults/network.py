"""A proxy that spoils bytes, and hosts: network namespaces on a bridge, whose links can be spoiled."""
import os
import socket
import threading

import means
from means import run


class FlippingProxy:
    """Passes connections on to a port; while `flips` is set, one byte of each request's body that
    is larger than a head changes on the way there."""

    def __init__(self, port, rng):
        self.port, self.rng, self.flips, self.flipped = port, rng, False, 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = "127.0.0.1:%d" % self.listener.getsockname()[1]
        self.sockets = []
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self):
        self.listener.close()
        for s in self.sockets:
            s.close()

    def _accept(self):
        while True:
            try:
                near = self.listener.accept()[0]
                far = socket.create_connection(("127.0.0.1", self.port))
            except OSError:
                if self.listener.fileno() < 0:
                    return
                near.close()
                continue
            for s in (near, far):
                s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.sockets += [near, far]
            threading.Thread(target=self._pass, args=(near, far, True), daemon=True).start()
            threading.Thread(target=self._pass, args=(far, near, False), daemon=True).start()

    def _pass(self, source, target, spoils):
        try:
            while True:
                data = source.recv(65536)
                if not data:
                    break
                target.sendall(self._spoil(data) if spoils and self.flips else data)
        except OSError:
            pass
        for s, how in ((target, socket.SHUT_WR), (source, socket.SHUT_RD)):
            try:
                s.shutdown(how)
            except OSError:
                pass

    def _spoil(self, data):
        """The last byte: of a value, never of a head, which ends in an empty line."""
        if data.endswith(b"\r\n\r\n") or data.startswith((b"GET ", b"HEAD ", b"DELETE ")):
            return data
        self.flipped += 1
        return data[:-1] + bytes([data[-1] ^ 1 << self.rng.randrange(8)])


def enter(space):
    """Runs a command on the network of a namespace. `ip netns exec` would give it copies of all mounts
    as well, and so keep the disks of tests that run at the same time from being unmounted."""
    return ["nsenter", "--net=/run/netns/" + space]


class Hosts:
    """A namespace for each server, on a bridge in a namespace of its own that the test's process
    reaches by one more link. Nothing of it touches the machine's own network but that link."""

    def __init__(self):
        self.tag = "lf%d" % (os.getpid() % 100000)
        self.net = "10.%d.%d." % (200 + os.getpid() % 50, os.getpid() // 50 % 250)
        self.addresses, self.names = {}, {}
        self.undo = means.undo_later(self._remove)
        self.bridge = self.tag + "br"
        run("ip", "netns", "add", self.bridge)
        run("ip", "-n", self.bridge, "link", "add", "name", "bridge0", "type", "bridge")
        run("ip", "-n", self.bridge, "link", "set", "dev", "bridge0", "up")
        run("ip", "link", "add", self.tag + "h", "type", "veth", "peer", "name", "host", "netns",
            self.bridge)
        run("ip", "-n", self.bridge, "link", "set", "host", "master", "bridge0", "up")
        run("ip", "addr", "add", self.net + "1/24", "dev", self.tag + "h")
        run("ip", "link", "set", self.tag + "h", "up")

    def add(self, name):
        """A new host; returns its address."""
        number = len(self.names) + 2
        space = self.names[name] = "%sn%d" % (self.tag, number)
        run("ip", "netns", "add", space)
        run("ip", "-n", self.bridge, "link", "add", "p%d" % number, "type", "veth", "peer", "name",
            "eth", "netns", space)
        run("ip", "-n", self.bridge, "link", "set", "p%d" % number, "master", "bridge0", "up")
        run("ip", "-n", space, "addr", "add", "%s%d/24" % (self.net, number), "dev", "eth")
        run("ip", "-n", space, "link", "set", "eth", "up")
        run("ip", "-n", space, "link", "set", "lo", "up")
        self.addresses[name] = self.net + str(number)
        return self.addresses[name]

    def command(self, name, argv):
        return enter(self.names[name]) + argv

    def spoil(self, name, fault):
        master = self.addresses["master"]
        rules = {"drop-in": "in drop", "drop-out": "out drop",
                 "drop-in from the master": "in ip saddr %s drop" % master,
                 "drop-out to the master": "out ip daddr %s drop" % master,
                 "reset": "in meta l4proto tcp reject with tcp reset",
                 "loss": "in numgen random mod 100 < 30 drop"}
        space = self.names[name]
        if fault == "slow":
            run("tc", "-n", space, "qdisc", "add", "dev", "eth", "root", "tbf", "rate", "1mbit",
                "burst", "4kb", "latency", "400ms")
            return
        chain, _, rule = rules[fault].partition(" ")
        hook = "input" if chain == "in" else "output"
        run(*enter(space), "nft", "-f", "-",
            data="table inet f { chain %s { type filter hook %s priority 0; %s; }; }\n" % (
                hook, hook, rule))

    def mend(self, name):
        space = self.names[name]
        run(*enter(space), "nft", "flush", "ruleset")
        run("tc", "-n", space, "qdisc", "del", "dev", "eth", "root", check=False)

    def _remove(self):
        for space in list(self.names.values()) + [self.bridge]:
            run("ip", "netns", "del", space, check=False)
        run("ip", "link", "del", self.tag + "h", check=False)
        self.names = {}

    def close(self):
        means.undo_now(self.undo)
