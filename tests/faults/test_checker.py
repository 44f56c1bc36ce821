"""The checker tells histories that can be explained from those that cannot."""
import itertools
import os
import random
import tempfile
import unittest

import means  # first: it says where the harness is
from layout import file_path

import copies
from checker import check, check_key
from history import (ABSENT, DELETE, EXISTS, FOUND, GET, LIST, MISSING, OK, OPEN, PUT, UNKNOWN,
                     History, Operation)
from values import judge, make_value


def ops(*rows):
    """Rows of (start, end, op, value, result); end None: unknown."""
    return [Operation(0, "/k", op, value, start, OPEN if end is None else end, result)
            for start, end, op, value, result in rows]


class CheckerTest(unittest.TestCase):
    def good(self, *rows, overwrite=True):
        self.assertIsNone(check_key(ops(*rows), overwrite))

    def bad(self, *rows, overwrite=True):
        self.assertIsNotNone(check_key(ops(*rows), overwrite))

    def test_one_after_the_other(self):
        self.good((0, 1, GET, None, MISSING), (2, 3, PUT, "a", OK), (4, 5, GET, "a", FOUND),
                  (6, 7, LIST, None, FOUND), (8, 9, DELETE, None, OK), (10, 11, GET, None, MISSING),
                  (12, 13, LIST, None, MISSING), (14, 15, DELETE, None, MISSING))

    def test_lost(self):
        self.bad((0, 1, PUT, "a", OK), (2, 3, GET, None, MISSING))
        self.bad((0, 1, PUT, "a", OK), (2, 3, LIST, None, MISSING))
        self.bad((0, 1, PUT, "a", OK), (2, 3, DELETE, None, MISSING))

    def test_old_value(self):
        self.bad((0, 1, PUT, "a", OK), (2, 3, PUT, "b", OK), (4, 5, GET, "a", FOUND))

    def test_never_written(self):
        self.bad((0, 1, PUT, "a", OK), (2, 3, GET, "x", FOUND))

    def test_deleted_comes_back(self):
        self.bad((0, 1, PUT, "a", OK), (2, 3, DELETE, None, OK), (4, 5, GET, "a", FOUND))
        self.bad((0, 1, PUT, "a", OK), (2, 3, DELETE, None, OK), (4, 5, LIST, None, FOUND))

    def test_overlapping(self):
        self.good((0, 9, PUT, "a", OK), (1, 2, GET, "a", FOUND), (3, 4, GET, "a", FOUND))
        self.good((0, 9, PUT, "a", OK), (1, 2, GET, None, MISSING), (3, 4, GET, "a", FOUND))
        self.bad((0, 9, PUT, "a", OK), (1, 2, GET, "a", FOUND), (3, 4, GET, None, MISSING))

    def test_two_writers_one_order(self):
        both = ((0, 9, PUT, "a", OK), (0, 9, PUT, "b", OK))
        self.good(*both, (1, 2, GET, "b", FOUND), (3, 4, GET, "a", FOUND), (10, 11, GET, "a", FOUND))
        self.bad(*both, (1, 2, GET, "b", FOUND), (3, 4, GET, "a", FOUND), (10, 11, GET, "b", FOUND))

    def test_unknown_put(self):
        self.good((0, 1, PUT, "a", OK), (2, None, PUT, "b", UNKNOWN), (4, 5, GET, "a", FOUND),
                  (6, 7, GET, "b", FOUND), (8, 9, GET, "b", FOUND))
        self.good((0, 1, PUT, "a", OK), (2, None, PUT, "b", UNKNOWN), (4, 5, GET, "a", FOUND))
        self.bad((0, 1, PUT, "a", OK), (2, None, PUT, "b", UNKNOWN), (4, 5, GET, "b", FOUND),
                 (6, 7, GET, "a", FOUND))
        self.bad((0, 1, GET, "b", FOUND), (2, None, PUT, "b", UNKNOWN))

    def test_unknown_delete(self):
        self.good((0, 1, PUT, "a", OK), (2, None, DELETE, None, UNKNOWN), (3, 4, GET, "a", FOUND),
                  (5, 6, GET, None, MISSING))
        self.bad((0, 1, PUT, "a", OK), (2, None, DELETE, None, UNKNOWN), (3, 4, GET, None, MISSING),
                 (5, 6, GET, "a", FOUND))

    def test_unknown_is_used_once(self):
        self.bad((0, None, PUT, "a", UNKNOWN), (1, 2, GET, "a", FOUND), (3, 4, DELETE, None, OK),
                 (5, 6, GET, "a", FOUND))
        self.bad((0, None, PUT, "a", UNKNOWN), (1, 2, DELETE, None, OK), (3, 4, DELETE, None, OK))

    def test_without_overwrite(self):
        def good(*rows):
            self.good(*rows, overwrite=False)

        def bad(*rows):
            self.bad(*rows, overwrite=False)
        good((0, 1, PUT, "a", OK), (2, 3, PUT, "b", EXISTS), (4, 5, GET, "a", FOUND))
        bad((0, 1, PUT, "a", OK), (2, 3, PUT, "b", OK))
        bad((0, 1, PUT, "b", EXISTS))
        bad((0, 9, PUT, "a", OK), (0, 9, PUT, "b", OK))
        good((0, None, PUT, "a", UNKNOWN), (2, 3, PUT, "b", EXISTS), (4, 5, GET, "a", FOUND))
        good((0, 1, PUT, "a", OK), (2, None, DELETE, None, UNKNOWN), (3, None, PUT, "b", UNKNOWN),
             (5, 6, GET, "b", FOUND))
        bad((0, 1, PUT, "a", OK), (3, None, PUT, "b", UNKNOWN), (5, 6, GET, "b", FOUND))

    def test_against_all_orders(self):
        """Small random histories, judged the slow way as well."""
        rng = random.Random(1)
        verdicts = {True: 0, False: 0}
        for _ in range(1500):
            overwrite = rng.random() < 0.5
            history = random_history(rng, overwrite)
            expected = explained(history, overwrite)
            verdicts[expected] += 1
            self.assertEqual(check_key(history, overwrite) is None, expected,
                             (overwrite, history))
        self.assertGreater(min(verdicts.values()), 100)  # both kinds were among them

    def test_long(self):
        """A long history with eight clients and many unknown results takes no time."""
        rng, rows, state, time = random.Random(2), [], None, 0.0
        for number in range(3000):
            time += 1
            value = "v%d" % number
            if number % 7 == 0:
                rows.append((time - rng.random() * 4, None, PUT, value, UNKNOWN))
                continue
            if rng.random() < 0.5:
                state = value
                row = (PUT, value, OK)
            else:
                row = (GET, state, FOUND) if state else (GET, None, MISSING)
            rows.append((time - rng.random() * 4, time + rng.random() * 4, *row))
        self.good(*rows)
        self.bad(*rows, (time + 100, time + 101, GET, None, MISSING))


def random_history(rng, overwrite):
    """Two clients; results are at random, so that some of them cannot be."""
    history, values = [], "abc"
    for _ in range(rng.randrange(2, 6)):
        start = rng.randrange(0, 12)
        end = start + rng.randrange(1, 6)
        op = rng.choice((PUT, GET, GET, DELETE, LIST))
        value = rng.choice(values)
        result = {PUT: (OK, OK, UNKNOWN), GET: (FOUND, FOUND, MISSING), LIST: (FOUND, MISSING),
                  DELETE: (OK, MISSING, UNKNOWN)}[op]
        if op == PUT:
            if any(o.value == value and o.op == PUT for o in history):
                continue  # every value is written once
            result = result if overwrite else result + (EXISTS,)
        result = rng.choice(result)
        history.append(Operation(0, "/k", op, value if op in (PUT, GET) else None, start,
                                 OPEN if result == UNKNOWN else end, result))
    return history


def explained(history, overwrite):
    """By definition: some choice of the unknown operations, in some order, explains everything."""
    known = [o for o in history if o.end != OPEN]
    unknown = [o for o in history if o.end == OPEN]
    for count in range(len(unknown) + 1):
        for chosen in itertools.combinations(unknown, count):
            for order in itertools.permutations(known + list(chosen)):
                in_time = all(a.start <= b.end for a, b in itertools.combinations(order, 2))
                if in_time and plays(order, overwrite):
                    return True
    return False


def plays(order, overwrite):
    state = ABSENT
    for o in order:
        if o.op == PUT and o.result in (OK, UNKNOWN):
            if state is not ABSENT and not overwrite:
                return False
            state = o.value
        elif o.op == DELETE and o.result in (OK, UNKNOWN):
            if state is ABSENT:
                return False
            state = ABSENT
        elif o.op == GET and o.result == FOUND:
            if state != o.value:
                return False
        elif (state is not ABSENT) != (o.result in (FOUND, EXISTS)):
            return False
    return True


class ValuesTest(unittest.TestCase):
    def test_judge(self):
        value, other = make_value("/k", "1.1", 5000), make_value("/k", "1.2", 5000)
        self.assertEqual(judge("/k", value), ("good", "1.1"))
        self.assertEqual(judge("/k", value[:3000])[0], "torn")
        self.assertEqual(judge("/k", value[:2000] + other[2000:])[0], "torn")
        self.assertEqual(judge("/k", value + b"x")[0], "wrong")
        self.assertEqual(judge("/k", b"")[0], "torn")
        flipped = bytearray(value)
        flipped[4000] ^= 1
        self.assertEqual(judge("/k", bytes(flipped))[0], "wrong")
        self.assertEqual(judge("/other", value)[0], "wrong")


class Disk:
    """A volume's directory."""

    def __init__(self, folder, number):
        self.name, self.dir = "volume%d" % number, os.path.join(folder, str(number))

    def write(self, path, data):
        path = self.dir + path
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as f:
            f.write(data)


class CopiesTest(unittest.TestCase):
    """The look at the disks sees what is too little, too much, and not what it should be."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="larder-copies.")
        self.addCleanup(folder.cleanup)
        self.volumes = [Disk(folder.name, n) for n in (1, 2, 3)]
        self.replicas, self.history = 2, History()
        self.value = make_value("/f/1", "c.1", 400)
        self.history.add("c", "/f/1", PUT, "c.1", self.history.now(), OK)
        for volume in self.volumes[:2]:
            volume.write(file_path("/f/1", 17), self.value)

    @staticmethod
    def files(volume):
        return [os.path.relpath(os.path.join(folder, name), volume.dir)
                for folder, _, names in os.walk(volume.dir) for name in names
                if "/.larder" not in folder]

    def complaints(self, listed=("/f/1",)):
        return copies.complaints_about(self, set(listed)) + check(self.history)

    def test_right(self):
        self.assertEqual(self.complaints(), [])
        self.assertEqual(self.history.operations, 1)  # the look is nobody's operation

    def test_too_few(self):
        os.unlink(self.volumes[0].dir + file_path("/f/1", 17))
        self.assertIn("copies", self.complaints()[0])

    def test_too_many(self):
        self.volumes[2].write(file_path("/f/1", 17), self.value)
        self.assertIn("copies", self.complaints()[0])

    def test_two_versions(self):
        os.unlink(self.volumes[0].dir + file_path("/f/1", 17))
        self.volumes[0].write(file_path("/f/1", 16), self.value)
        self.assertIn("one version", self.complaints()[0])

    def test_damaged(self):
        self.volumes[0].write(file_path("/f/1", 17), self.value[:200] + b"x" + self.value[201:])
        self.assertIn("is wrong", self.complaints()[0])

    def test_cut(self):
        self.volumes[0].write(file_path("/f/1", 17), self.value[:200])
        self.assertIn("is torn", self.complaints()[0])

    def test_old_value(self):
        """Whole, but not what the key holds since."""
        self.history.add("c", "/f/1", PUT, "c.2", self.history.now(), OK)
        self.assertIn("no order explains", self.complaints()[0])

    def test_orphan(self):
        self.volumes[0].write(file_path("/f/2"), make_value("/f/2", "c.9", 300))
        self.assertIn("which is not there", self.complaints()[0])

    def test_no_key(self):
        self.volumes[0].write("/aa/bb/no base64!", b"")
        self.assertIn("holds", self.complaints()[0])

    def test_temp_file(self):
        self.volumes[0].write("/.larder/tmp/7", b"half")
        self.assertIn("temp files", self.complaints()[0])

    def test_no_file_at_all(self):
        self.assertIn("no file", self.complaints(("/f/1", "/f/3"))[0])


if __name__ == "__main__":
    unittest.main()
