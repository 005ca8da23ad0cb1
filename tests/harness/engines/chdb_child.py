"""Answers SQL with ClickHouse's engine: a line of JSON for each line of JSON. It runs in the environment of scripts/lab/engines.

It imports nothing of this project, which is not installed there.
"""

import json
import sys
from importlib import import_module

# Whole numbers as numbers, of any width.
_PLAIN = (
    "SET output_format_json_quote_64bit_integers = 0",
    "SET output_format_json_quote_decimals = 0",
    "SET output_format_json_quote_64bit_floats = 0",
)


def main() -> None:
    """`chdb_child.py FOLDER`."""
    session = import_module("chdb.session").Session()
    for statement in _PLAIN:
        session.query(statement)
    for line in sys.stdin:
        try:
            answered = session.query(json.loads(line)["sql"], "JSONCompact").bytes()
            answer = {"rows": json.loads(answered)["data"] if answered else []}
        except Exception as cause:  # noqa: BLE001  # what went wrong is the answer
            answer = {"error": str(cause)}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
