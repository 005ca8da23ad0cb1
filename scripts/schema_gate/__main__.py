"""The command: see scripts/schema-check."""

import argparse
import sys
from collections.abc import Sequence

from schema_gate.compare import additions, refusals
from schema_gate.declaration import Declaration, to_json, version_key
from schema_gate.declared import declared
from schema_gate.kept import FOLDER, ROOT, MisuseOfBase, base_of, kept_path, kept_versions

MISUSE, REFUSED = 64, 1
PROGRAM = "scripts/schema-check"


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> None:  # type: ignore[override]  # argparse ends with 2, programs of this project with 64
        print(f"{PROGRAM}: {message}; see {PROGRAM} --help", file=sys.stderr)
        sys.exit(MISUSE)


def main(arguments: Sequence[str]) -> int:
    """Compares, or prints, or keeps; gives the exit code."""
    parser = _Parser(prog=PROGRAM, add_help=False)
    parser.add_argument("base", nargs="?")
    parser.add_argument("--print", action="store_true", dest="is_printed")
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args(arguments)
    if options.base is not None and (options.is_printed or options.write):
        parser.error("--print and --write compare with nothing: leave BASE out")
    now = declared()
    if options.is_printed:
        print(to_json(now), end="")
        return 0
    try:
        return _write(now) if options.write else _check(now, options.base)
    except MisuseOfBase as wrong:
        print(f"{PROGRAM}: {wrong}", file=sys.stderr)
        return MISUSE


def _check(now: Declaration, base: str | None) -> int:
    what, before = base_of(base)
    refused = refusals(before, now)
    for sentence in refused:
        print(f"refused: {sentence}")
    for line in additions(before, now):
        print(f"added: {line}")
    if refused:
        print(f"{PROGRAM}: {len(refused)} differences from {what} are no additions", file=sys.stderr)
        return REFUSED
    print(f"schema: only additions since {what}: {len(now.tables)} tables, {len(now.messages)} messages")
    return 0


def _write(now: Declaration) -> int:
    """Keep this state as that of its version. What is kept is never replaced, and follows the release before it."""
    path = kept_path(now.version)
    if path.exists():
        if path.read_text() == to_json(now):
            return 0
        raise MisuseOfBase(f"{FOLDER}/{now.version}.json is kept already; raise agent.__version__ first")
    older = [each for each in kept_versions() if version_key(each) < version_key(now.version)]
    if older and _check(now, older[-1]) != 0:
        return REFUSED
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(to_json(now))
    print(f"kept in {path.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
