"""What a release has declared stays: tables and messages are only added to, and the gate sees all that is decoded."""

import ast
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))

from schema_gate.compare import refusals
from schema_gate.declared import declared
from schema_gate.kept import base_of, kept_versions

ROOT = Path(__file__).parents[2]

# What is decoded and is no declaration of ours, or never leaves one version of the agent, and why.
NOT_DECLARED = {
    "_Manifest": "a file of Ollama",
    "_Answer": "an answer of an inference server",
    "_JsonAnswer": "an answer of a receiver of OTLP",
    "_SpawnRecord": "the keeper's record again, as far as a sampler needs it",
    "_Numbered": "one field of any order, to answer one that is not understood",
    "Config": "from a process to its own child",
    "Finding": "from a child to its own parent",
    "WireFacts": "inside one process",
    "GpuAnswer": "from a child to its own parent",
    "CompactReport": "from a child to its own parent",
    "LakeOrder": "from a process to its own child",
    "LakeReport": "from a child to its own parent",
    "_NewestTold": "from a child to its own parent",
    "SealReport": "from a child to its own parent",
    "ServedProblem": "from a worker to the supervisor that started it",
    "HeldSeries": "inside a snapshot, which is thrown away where it does not decode",
    "_Saved": "inside a snapshot, which is thrown away where it does not decode",
    "_Held": "inside a snapshot, which is thrown away where it does not decode",
    "_Snapshot": "inside a snapshot, which is thrown away where it does not decode",
    "_SavedMinutes": "inside a snapshot, which is thrown away where it does not decode",
    "Any": "rows, which their tables declare",
}
# What names a type that is decoded without being one.
CONTAINERS = frozenset({"list", "tuple", "dict", "str", "int", "None", "type", "content", "kind", "T"})


def decoded_types(tree: ast.Module) -> Iterator[str]:
    """The classes that msgspec is told to make of bytes."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            words = ast.unparse(node.func).split(".")
            wanted: list[ast.expr] = []
            if words[-1] == "Decoder":
                wanted = [*node.args, *(each.value for each in node.keywords if each.arg == "type")]
            elif words[0] == "msgspec" and words[-1] in ("decode", "convert"):
                wanted = [*node.args[1:2], *(each.value for each in node.keywords if each.arg == "type")]
            for each in wanted:
                yield from (inner.id for inner in ast.walk(each) if isinstance(inner, ast.Name))


def test_the_newest_release_is_only_added_to() -> None:
    """The same as `scripts/schema-check`."""
    what, kept = base_of(None)
    assert refusals(kept, declared()) == [], what


def test_each_kept_release_follows_the_one_before_it() -> None:
    """Data of every release can be read by all later ones."""
    kept = [base_of(version)[1] for version in kept_versions()]
    assert [refusals(before, after) for before, after in pairwise(kept)] == [[]] * (len(kept) - 1)


def test_whatever_is_decoded_is_declared_or_needs_no_declaration() -> None:
    """A new kind of message cannot be forgotten: it is on a channel or among the roots of scripts/schema_gate, or stands above."""
    now = declared()
    channels = {"FromWorker", "ToWorker", "ToWriter", "FromWriter", "FromKeeper", "ToKeeper", "HubAnswer"}
    found = {
        name
        for package in ("agent", "supervisor", "workers")
        for path in sorted((ROOT / package).rglob("*.py"))
        for name in decoded_types(ast.parse(path.read_bytes()))
    }
    unknown = found - CONTAINERS - channels - now.messages.keys() - NOT_DECLARED.keys()
    assert unknown == set()
    assert sorted(NOT_DECLARED.keys() - found) == []
