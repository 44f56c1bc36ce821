"""What was asked of a store, when, and what came of it.

An operation whose result the client never learned has no end: it may take effect at any later time,
or never. An operation that certainly changed and told nothing (409, refused connections, 503 to a
GET) is not in the history at all.
"""
import threading
import time

ABSENT = None  # what a key holds without a value
OPEN = float("inf")  # the end of an operation with an unknown result

PUT, GET, DELETE, LIST = "put", "get", "delete", "list"
# Results. PUT: OK, EXISTS, UNKNOWN; GET and LIST: FOUND, MISSING; DELETE: OK, MISSING, UNKNOWN.
OK, EXISTS, FOUND, MISSING, UNKNOWN = "ok", "exists", "found", "missing", "unknown"


class Operation:
    """One operation on one key. `value` is what a PUT wrote or a GET read: the id of a value."""

    __slots__ = ("client", "key", "op", "value", "start", "end", "result")

    def __init__(self, client, key, op, value, start, end, result):
        self.client, self.key, self.op, self.value = client, key, op, value
        self.start, self.end, self.result = start, end, result

    def __repr__(self):
        end = "?" if self.end == OPEN else "%.6f" % self.end
        return "%.6f-%s client %s %s %s%s: %s" % (
            self.start, end, self.client, self.op, self.key,
            "" if self.value is None else " " + self.value, self.result)


class History:
    """Operations of many clients; and what was wrong on the face of it (`wrong`, `torn`)."""

    def __init__(self):
        self.by_key = {}
        self.operations = 0
        self.acknowledged = 0  # PUTs and DELETEs
        self.unknown = 0
        self.sent_on = 0  # reads that a volume sent back to the master for another copy
        self.cut = 0  # answers that broke off
        self.wrong = []  # answers with status 200 and bytes that nobody wrote under this key
        self.torn = []  # the same, and they are a beginning of something written, or a mixture
        self.failures = []  # statuses that must not be, clients that broke
        self._lock = threading.Lock()

    @staticmethod
    def now():
        return time.monotonic()

    def add(self, client, key, op, value, start, result, counts=True):
        """Notes an operation that has just ended (or whose answer was lost). `counts`: it is one of
        a client, not one of the judgement."""
        end = OPEN if result == UNKNOWN else self.now()
        operation = Operation(client, key, op, value, start, end, result)
        with self._lock:
            self.by_key.setdefault(key, []).append(operation)
            self.operations += counts
            self.unknown += result == UNKNOWN
            self.acknowledged += op in (PUT, DELETE) and result == OK

    def complain(self, kind, text):
        with self._lock:
            getattr(self, kind).append(text)

    def keys(self):
        with self._lock:
            return sorted(self.by_key)

    def written(self, key):
        """Whether a value was ever sent for this key."""
        return any(o.op == PUT for o in self.by_key.get(key, ()))
