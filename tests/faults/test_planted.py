"""Is the suite blind? Each fault that is planted in larder itself (common/planted.h) must make the test
that is there for it fail, and the same build without the fault must pass it."""
import os
import unittest

import means  # first: it says where the harness is
import harness
import table
from test_away import AwayTest
from test_kill import KillTest
from test_network import FlipTest
from test_power import PowerTest

TRIES = 3  # what is seen only by chance gets so many
WATCHERS = {
    "skip-fsync": [(PowerTest, "test_last_word_ext4"), (PowerTest, "test_last_word_xfs")],
    "skip-dir-fsync": [(PowerTest, "test_last_word_ext4"), (PowerTest, "test_last_word_xfs")],
    "skip-index-sync": [(PowerTest, "test_last_word_ext4"), (PowerTest, "test_last_word_xfs")],
    "skip-md5": [(FlipTest, "test_flipped_bits")],
    "ack-before-commit": [(KillTest, "test_slow_index")],
    "forget-tombstone": [(AwayTest, "test_rebuild_at_once")],
}


class PlantedTest(unittest.TestCase):
    def setUp(self):
        folder = os.environ.get("LARDER_PLANTED_BIN", "")
        if not os.path.exists(folder + "/larder-master"):
            means.skip("needs the build with planted faults: make PLANTED=1, then LARDER_PLANTED_BIN")
        self.programs, harness.BIN = harness.BIN, folder
        self.table = os.environ.pop("FAULTS_TABLE", None)  # no rows of the planted faults
        self.addCleanup(self.put_back)

    def put_back(self):
        harness.BIN = self.programs
        os.environ.pop("LARDER_PLANTED", None)
        if self.table:
            os.environ["FAULTS_TABLE"] = self.table

    def play(self, watcher, name, fault):
        """The complaints of a test with a planted fault; skipped where the test is."""
        os.environ["LARDER_PLANTED"] = fault
        result = unittest.TestResult()
        watcher(name).run(result)
        if result.skipped:
            means.skip(result.skipped[0][1])
        self.assertEqual(result.errors, [])
        return "".join(text for _, text in result.failures)

    def watch(self, fault):
        for watcher, name in WATCHERS[fault]:
            with self.subTest(watcher=name):
                caught = any(self.play(watcher, name, fault) for _ in range(TRIES))
                self.note(fault, name, caught)
                self.assertTrue(caught, "%s did not see that %s was planted" % (name, fault))

    def note(self, fault, name, caught):
        if self.table:
            os.environ["FAULTS_TABLE"] = self.table
        table.add_row("planted: %s, watched by %s" % (fault, name), 1, int(caught),
                      notes="caught" if caught else "NOT caught")
        os.environ.pop("FAULTS_TABLE", None)

    def test_no_fault(self):
        """A name that nothing asks for: the build itself passes."""
        self.assertEqual(self.play(KillTest, "test_slow_index", "nothing"), "")


def _add(fault):
    def test(self):
        self.watch(fault)
    setattr(PlantedTest, "test_" + fault.replace("-", "_"), test)


for _fault in WATCHERS:
    _add(_fault)


def load_tests(loader, _tests, _pattern):
    """Only what is of this file: not the watchers, which were imported."""
    return loader.loadTestsFromTestCase(PlantedTest)


if __name__ == "__main__":
    unittest.main()
