"""The durable document of the operator's rules. PURE.

JSON, so that a person can read and repair it:
    {"format": 1, "revision": 17, "checksum": "<hex>", "rules": [...]}
The checksum is BLAKE2b over the canonical rules in order, so that a damaged file is never taken for a short one.
"""

import msgspec
from msgspec import Struct

from agent.model.checksum import blake2b
from agent.model.errors import FormatError
from agent.model.rule import RULES_MAX, GroupRule, canonical, problem_of_rule

FORMAT_VERSION = 1


class Rulebook(Struct, frozen=True):
    """The operator's rules, by name, and the revision at which they were written."""

    revision: int = 0
    rules: tuple[GroupRule, ...] = ()


class _RulesDocument(Struct, frozen=True, forbid_unknown_fields=True):
    format: int
    revision: int
    checksum: str
    rules: list[GroupRule]


def encode_rulebook(book: Rulebook) -> bytes:
    """The document, one rule per line, rules in the order of their names."""
    rules = sorted(book.rules, key=lambda rule: rule.name)
    document = _RulesDocument(FORMAT_VERSION, book.revision, _checksum(rules), rules)
    return msgspec.json.format(msgspec.json.encode(document), indent=1) + b"\n"


def decode_rulebook(document: bytes) -> Rulebook:
    """The rules of a document. *Raises:* FormatError when it is damaged or of another format."""
    try:
        found = msgspec.json.decode(document, type=_RulesDocument)
    except (msgspec.DecodeError, UnicodeDecodeError) as cause:
        raise FormatError("rules document", str(cause)) from cause
    if found.format != FORMAT_VERSION:
        raise FormatError("rules document", f"format {found.format} is not known to this version, which reads {FORMAT_VERSION}")
    if len(found.rules) > RULES_MAX:
        raise FormatError("rules document", f"{len(found.rules)} rules are more than {RULES_MAX}")
    if found.checksum != _checksum(found.rules):
        raise FormatError("rules document", "its checksum does not match its rules")
    for rule in found.rules:
        if (problem := problem_of_rule(rule)) is not None:
            raise FormatError("rules document", f"rule {rule.name!r}: {problem}")
    return Rulebook(found.revision, tuple(found.rules))


def _checksum(rules: list[GroupRule]) -> str:
    total = blake2b(digest_size=16)
    for rule in rules:
        total.update(canonical(rule) + b"\n")
    return total.hexdigest()
