"""Finds the subject of a benchmark by its name."""

import sys
from importlib import import_module
from pathlib import Path


def subjects() -> list[str]:
    """Every module with a `main`, by the name on the command line."""
    found = []
    for path in sorted(Path(__file__).parent.glob("[a-z]*.py")):
        if "\ndef main(" in path.read_text():
            found.append(path.stem.replace("_", "-"))
    return found


def run(words: list[str]) -> int:
    """Run the subject that the first word names."""
    if not words or words[0] not in subjects():
        print(f"usage: scripts/bench/exports SUBJECT [OPTIONS]; subjects: {', '.join(subjects())}", file=sys.stderr)
        return 64
    return int(import_module(f"exports_bench.{words[0].replace('-', '_')}").main(words[1:]))


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
