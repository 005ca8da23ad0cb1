"""The schema gate lets additions pass and nothing else: random changes of the real declarations, and the sentence of each kind."""

import random
import sys
from collections import Counter
from pathlib import Path

import msgspec
import pytest
from harness.schema_addition import ADDITIVE, additive_mutation
from harness.schema_mutation import REFUSED, Plain, copied, one_of, refused_mutation

sys.path.insert(0, str(Path(__file__).parents[3] / "scripts"))

from schema_gate.compare import additions, refusals
from schema_gate.declaration import Declaration, from_json, to_json
from schema_gate.declared import declared

MUTATIONS = 300
# An addition beside one of these may make an addition of both: a column for the version, or a strict message that omits defaults.
COMPLETED = {"lower_version", "raise_version_alone", "append_column_in_silence", "add_to_strict_message"}
LASTING = tuple(mutation for mutation in REFUSED if mutation.__name__ not in COMPLETED)
SEED = random.SystemRandom().getrandbits(32)


@pytest.fixture(scope="module")
def now() -> Declaration:
    """The declarations of this checkout."""
    return declared()


@pytest.fixture
def chance() -> random.Random:
    """Printed when a test fails: the same seed draws the same changes."""
    print(f"seed {SEED}")
    return random.Random(SEED)


def plain_of(declaration: Declaration) -> Plain:
    """The declaration as one that can be changed."""
    plain: Plain = msgspec.json.decode(to_json(declaration))
    return plain


def changed(plain: Plain) -> Declaration:
    """The declaration again, decoded as strictly as a kept one."""
    return msgspec.convert(plain, Declaration)


def test_nothing_is_refused_or_new_where_nothing_changed(now: Declaration) -> None:
    """A release follows itself; its kept text says the same as it does."""
    assert from_json(to_json(now)) == now
    assert refusals(now, now) == []
    assert additions(now, now) == []


def test_three_hundred_mutations_are_all_refused(now: Declaration, chance: random.Random) -> None:
    """One change each of a real table, message, word or layout; every kind of change comes up."""
    plain, kinds = plain_of(now), Counter[str]()
    passed = []
    for _ in range(MUTATIONS):
        mutant = copied(plain)
        told = refused_mutation(mutant, chance)
        kinds[told.partition(":")[0]] += 1
        if not refusals(now, changed(mutant)):
            passed.append(told)
    assert passed == []
    assert sum(kinds.values()) == MUTATIONS


@pytest.mark.parametrize("mutation", REFUSED, ids=lambda mutation: mutation.__name__)
def test_each_kind_of_mutation_is_refused(now: Declaration, chance: random.Random, mutation: object) -> None:
    """Also a kind that the three hundred happen to leave out."""
    mutant = plain_of(now)
    assert callable(mutation)
    told = mutation(mutant, chance)
    assert refusals(now, changed(mutant)), told


def test_a_mutation_among_additions_is_refused(now: Declaration, chance: random.Random) -> None:
    """What is added beside it hides nothing."""
    for _ in range(MUTATIONS // 3):
        mutant = plain_of(now)
        told = one_of(LASTING, mutant, chance)
        for _ in range(chance.randint(1, 3)):
            told = f"{told}; {additive_mutation(mutant, chance)}"
        assert refusals(now, changed(mutant)), told


def test_three_hundred_additions_all_pass(now: Declaration, chance: random.Random) -> None:
    """One to five each: columns, tables, fields, messages, words, layouts."""
    plain, refused = plain_of(now), []
    for _ in range(MUTATIONS):
        added = copied(plain)
        told = [additive_mutation(added, chance) for _ in range(chance.randint(1, 5))]
        if sentences := refusals(now, changed(added)):
            refused.append((told, sentences))
    assert refused == []


@pytest.mark.parametrize("mutation", ADDITIVE, ids=lambda mutation: mutation.__name__)
def test_each_kind_of_addition_passes(now: Declaration, chance: random.Random, mutation: object) -> None:
    """And once it is released, taking it back is refused."""
    added = plain_of(now)
    assert callable(mutation)
    mutation(added, chance)
    assert refusals(now, changed(added)) == []
    assert refusals(changed(added), now) != []


def test_a_table_version_with_an_addition_grows_and_each_is_told(now: Declaration) -> None:
    """The outcome names what is new."""
    added = plain_of(now)
    added["tables"]["gap"]["columns"].append({"name": "added", "type": "int64", "unit": "1", "nullable": True})
    added["tables"]["gap"]["version"] += 1
    added["words"]["Restart"].append("sometimes")
    assert additions(now, changed(added)) == ["column added of table gap", "sometimes in words of Restart"]


def test_a_wider_reader_passes(now: Declaration) -> None:
    """A reader that passes over what it refused, and a writer that leaves defaults out, harm nobody."""
    wider = plain_of(now)
    wider["messages"]["WorkloadSpec"] |= {"refuses_unknown": False, "omits_defaults": True}
    assert refusals(now, changed(wider)) == []


def test_each_refusal_says_what_to_do(now: Declaration, chance: random.Random) -> None:
    """A sentence has the problem before its colon and the way out behind it."""
    for mutation in REFUSED:
        mutant = plain_of(now)
        mutation(mutant, chance)
        for sentence in refusals(now, changed(mutant)):
            problem, colon, remedy = sentence.partition(": ")
            assert problem, sentence
            assert colon, sentence
            assert remedy, sentence


def test_a_retyped_list_of_another_kind_is_the_same_on_the_wire(now: Declaration) -> None:
    """Messages say lists as lists, whether Python holds tuples or lists."""
    types = {field.name: field.type for field in now.messages["Batch"].fields}
    assert types["lost"] == "list[Lost]"
    assert types["rows"].startswith("int(ge=0, le=")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "it is no declaration: "),
        ("[]", "it is no declaration: "),
        (b"\xff", "it is no declaration: "),
        ('{"format": 1, "version": "1", "tables": {}}', "missing required field"),
    ],
)
def test_a_text_that_is_no_declaration_is_refused(text: str | bytes, problem: str) -> None:
    """With a sentence, not with a traceback."""
    with pytest.raises(ValueError, match=problem):
        from_json(text)


def test_a_declaration_of_another_format_is_refused(now: Declaration) -> None:
    """Its fields may mean something else."""
    text = to_json(msgspec.structs.replace(now, format=2))
    with pytest.raises(ValueError, match="of format 2, and 1 is read here"):
        from_json(text)
