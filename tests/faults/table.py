"""The table of what was tried and what came of it: tests add rows, run.py prints them."""
import json
import os

NUMBERS = ("tried", "survived", "operations", "acknowledged", "lost", "wrong", "torn")
COLUMNS = ("fault",) + NUMBERS + ("keys checked", "seeds", "notes")
SEEDS_SHOWN = 3


def add_row(fault, tried, survived, operations=0, acknowledged=0, lost=0, wrong=0, torn=0, keys=0,
            seed=None, notes=""):
    path = os.environ.get("FAULTS_TABLE")
    row = dict(zip(COLUMNS, (fault, tried, survived, operations, acknowledged, lost, wrong, torn,
                             keys, [] if seed is None else [seed], notes)))
    print("row: %s" % json.dumps(row))
    if path:
        with open(path, "a") as f:
            f.write(json.dumps(row) + "\n")


def read_rows(path):
    """Rows of the same fault (a soak repeats them) are added up."""
    rows = {}
    with open(path) as f:
        for row in map(json.loads, f):
            have = rows.setdefault(row["fault"], row)
            if have is not row:
                for column in NUMBERS + ("keys checked", "seeds"):
                    have[column] += row[column]
                have["notes"] = row["notes"]  # of the last time
    return list(rows.values())


def total(rows):
    """All rows but those of planted faults, as one."""
    real = [row for row in rows if not row["fault"].startswith("planted")]
    sums = {column: sum(row[column] for row in real) for column in NUMBERS + ("keys checked",)}
    return dict(sums, fault="all of them", seeds=[], notes="")


def _seeds(seeds):
    shown = " ".join(map(str, sorted(set(seeds))[:SEEDS_SHOWN]))
    more = len(set(seeds)) - SEEDS_SHOWN
    return "%s and %d more" % (shown, more) if more > 0 else shown


def as_markdown(rows):
    lines = ["| %s |" % " | ".join(COLUMNS), "|%s" % ("---|" * len(COLUMNS))]
    for row in rows + [total(rows)]:
        cells = dict(row, seeds=_seeds(row["seeds"]))
        lines.append("| %s |" % " | ".join(str(cells[c]).replace("|", "\\|") for c in COLUMNS))
    return "\n".join(lines) + "\n"
