"""The table of what was tried and what came of it: tests add rows, run.py prints them."""
import json
import os

COLUMNS = ("fault", "rounds", "operations", "acknowledged", "lost", "wrong", "torn", "notes")


def add_row(fault, rounds, operations=0, acknowledged=0, lost=0, wrong=0, torn=0, notes=""):
    path = os.environ.get("FAULTS_TABLE")
    row = dict(zip(COLUMNS, (fault, rounds, operations, acknowledged, lost, wrong, torn, notes)))
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
                for column in COLUMNS[1:-1]:
                    have[column] += row[column]
                have["notes"] = row["notes"]
    return list(rows.values())


def as_markdown(rows):
    lines = ["| %s |" % " | ".join(COLUMNS), "|%s" % ("---|" * len(COLUMNS))]
    for row in rows:
        lines.append("| %s |" % " | ".join(str(row[c]).replace("|", "\\|") for c in COLUMNS))
    return "\n".join(lines) + "\n"
