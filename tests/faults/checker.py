"""Is there an order of the operations on a key that explains all answers, each of them taking effect
at one moment between its start and its end?

A depth-first search over orders (Wing and Gong), with what was tried already remembered (Lowe). What
makes it fast:
  - An operation that only observes is taken as soon as it fits: that never spoils anything.
  - An operation with an unknown result is taken only where another one needs what it would have
    done. That loses no explanation: unobserved, it may as well never have happened, and observed, it
    may as well have happened just before it was.
"""
from history import ABSENT, DELETE, EXISTS, FOUND, GET, LIST, MISSING, OK, OPEN, PUT, UNKNOWN

ANY, PRESENT = object(), object()  # what an operation needs, besides ABSENT or one value
KEEP = object()  # the effect of one that only observes
STEPS = 2_000_000  # so many positions are looked at before the search gives up


class Undecided(Exception):
    """The search was given up."""


class _Step:
    """An operation as the search sees it: what must be there before, and what is there after."""

    __slots__ = ("start", "end", "need", "effect", "operation")

    def __init__(self, operation, overwrite):
        self.operation, self.start, self.end = operation, operation.start, operation.end
        self.need, self.effect = _meaning(operation, overwrite)

    def fits(self, state):
        return (self.need is ANY or (self.need is PRESENT and state is not ABSENT)
                or self.need == state)


def _meaning(o, overwrite):
    if o.op == PUT and o.result in (OK, UNKNOWN):
        return (ANY if overwrite else ABSENT), o.value
    if o.op == DELETE and o.result in (OK, UNKNOWN):
        return PRESENT, ABSENT
    if (o.op, o.result) == (GET, FOUND):
        return o.value, KEEP
    if (o.op, o.result) in ((PUT, EXISTS), (LIST, FOUND)):
        return PRESENT, KEEP
    if o.op in (GET, LIST, DELETE) and o.result == MISSING:
        return ABSENT, KEEP
    raise ValueError("an operation without a meaning: %r" % o)


class _Search:
    def __init__(self, operations, overwrite, initial):
        steps = sorted((_Step(o, overwrite) for o in operations), key=lambda s: s.start)
        self.known = [s for s in steps if s.end != OPEN]
        seen = {s.need for s in self.known if isinstance(s.need, str)}
        self.puts = [s for s in steps if s.end == OPEN and s.effect is not ABSENT]
        self.deletes = [s for s in steps if s.end == OPEN and s.effect is ABSENT]
        self.read = [s.effect in seen for s in self.puts]
        self.overwrite, self.initial = overwrite, initial
        self.furthest = 0

    def run(self):
        """True where the operations can be explained."""
        # A position: known steps done (all before `low`, and those in `mask` from `low` on), unknown
        # PUTs used (a mask), unknown DELETEs used (a number), and what the key holds.
        stack, tried = [(0, 0, 0, 0, self.initial)], set()
        while stack:
            position = stack.pop()
            if position in tried:
                continue
            tried.add(position)
            if len(tried) > STEPS:
                raise Undecided("gave up after %d positions" % STEPS)
            self.furthest = max(self.furthest, position[0])
            if position[0] == len(self.known):
                return True
            stack += self._next(*position)
        return False

    def _candidates(self, low, mask):
        """The steps that may come next (none of the others had ended before they began), and by when
        the next one must come."""
        found, end = [], OPEN
        for i in range(low, len(self.known)):
            step = self.known[i]
            if step.start > end:
                break
            if not mask >> (i - low) & 1:
                found.append(i)
                end = min(end, step.end)
        return found, end

    def _next(self, low, mask, puts, deletes, state):
        candidates, by = self._candidates(low, mask)
        for i in candidates:
            if self.known[i].effect is KEEP and self.known[i].fits(state):
                return [self._done(low, mask, i) + (puts, deletes, state)]
        following = []
        # The last on the stack is tried first: what ended first.
        for i in sorted(candidates, key=lambda i: -self.known[i].end):
            step = self.known[i]
            for used, gone, before in self._ways(step, by, puts, deletes, state):
                after = before if step.effect is KEEP else step.effect
                following.append(self._done(low, mask, i) + (used, gone, after))
        return following

    @staticmethod
    def _done(low, mask, i):
        mask |= 1 << (i - low)
        while mask & 1:
            low, mask = low + 1, mask >> 1
        return low, mask

    def _ways(self, step, by, puts, deletes, state):
        """(puts, deletes, state) just before the step, with unknown steps in between where needed:
        those that had begun by the time when the next known step must have come."""
        if step.fits(state):
            return [(puts, deletes, state)]
        can_delete = sum(d.start <= by for d in self.deletes) > deletes
        if step.need is ABSENT:
            return [(puts, deletes + 1, ABSENT)] if can_delete else []
        if state is not ABSENT and not self.overwrite:
            if not can_delete:
                return []
            deletes += 1  # first away with the old value, then the new one
        ways, any_unread = [], False
        for i, put in enumerate(self.puts):
            if puts >> i & 1 or put.start > by:
                continue
            if step.need is PRESENT and not self.read[i]:
                if any_unread:  # nobody ever reads it: one is as good as another
                    continue
                any_unread = True
            elif step.need is not PRESENT and put.effect != step.need:
                continue
            ways.append((puts | 1 << i, deletes, put.effect))
        return ways


def check_key(operations, overwrite=True, initial=ABSENT):
    """None where the operations on one key can be explained, else a text that says where not."""
    search = _Search(operations, overwrite, initial)
    if search.run():
        return None
    at = search.known[search.furthest].operation
    before = sorted((o for o in operations if o.start <= at.end), key=lambda o: o.start)
    about = [o for o in before if o.value == at.value and at.value][:10]
    return "no order explains %r; before it came:\n  %s\nand of the same value:\n  %s" % (
        at, "\n  ".join(map(repr, before[-40:])), "\n  ".join(map(repr, about)))


def check(history, overwrite=True):
    """All keys of a history: a list of complaints, one a key."""
    complaints = []
    for key in history.keys():
        try:
            complaint = check_key(history.by_key[key], overwrite)
        except Undecided as e:
            complaint = "undecided: %s" % e
        if complaint:
            complaints.append("%s: %s" % (key, complaint))
    return complaints
