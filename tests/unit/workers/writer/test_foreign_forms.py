"""One type for each column on all hosts; hosts of other versions are welcome, nonsense is refused with a reason."""

import pytest
from fakes.foreign_node import FORM
from msgspec.structs import replace

from agent.store.origin_form import COLUMNS_MAX, encode_form
from agent.store.record import OtherForm, TableForm
from workers.writer import foreign_forms
from workers.writer.foreign_forms import TABLES_MAX, ForeignForms
from workers.writer.gap import Reason

NEWER = replace(FORM, version=4, names=(*FORM.names, "extra"), dtypes=(*FORM.dtypes, "utf8"))
DISAGREES = replace(NEWER, version=5, dtypes=(*FORM.dtypes, "int64"))
SMALL = TableForm(1, ("timestamp",), ("int64",), "x-")


def forms() -> ForeignForms:
    """Those of a hub that declares table `sample`."""
    return ForeignForms({"sample": FORM})


def refusal(known: ForeignForms, table: str, form: TableForm) -> str:
    """Why it is refused; empty: it is not."""
    verdict = known.judge(table, encode_form(form))
    assert bool(verdict.refusal) == bool(verdict.problem)
    return verdict.refusal


def test_rows_of_this_version_need_no_word_and_others_a_short_one() -> None:
    """Asked again, the answer is the same."""
    known = forms()
    for _ in range(2):
        assert known.judge("sample", encode_form(FORM)).other is None
        assert known.judge("sample", encode_form(NEWER)).other == OtherForm(4, len(FORM.names), ("extra",), ("utf8",), (True,))
    assert known.seen == {"sample": {"extra": "utf8"}}


def test_a_column_has_the_type_that_was_seen_first() -> None:
    """This version's own types come before all; what disagrees changes nothing."""
    known = forms()
    assert refusal(known, "sample", NEWER) == ""
    assert refusal(known, "sample", DISAGREES) == Reason.FOREIGN_COLUMNS
    assert (
        refusal(known, "sample", replace(FORM, dtypes=("int64", "utf8", "utf8", "int64", "float64", "bool")))
        == Reason.FOREIGN_COLUMNS
    )
    assert known.seen == {"sample": {"extra": "utf8"}}


def test_tables_of_newer_hosts_are_bounded() -> None:
    """So many that this version does not declare; those that are known stay welcome."""
    known = forms()
    names = [f"table_{number}" for number in range(TABLES_MAX)]
    assert {refusal(known, name, SMALL) for name in names} == {""}
    assert refusal(known, "one_more", SMALL) == Reason.FOREIGN_TABLE
    assert not known.learn("one_more", {"timestamp": "int64"})
    assert refusal(known, names[0], replace(SMALL, version=2)) == ""
    assert refusal(known, "sample", NEWER) == ""


@pytest.mark.parametrize("table", ["../../etc", "Sample", "", "pod", "container"])
def test_names_that_no_table_can_have_are_refused(table: str) -> None:
    """Before anything is decoded."""
    assert refusal(forms(), table, SMALL) == Reason.FOREIGN_TABLE


def test_nonsense_is_refused() -> None:
    """Bytes that are no columns, columns that none can have, too many of them in all."""
    known = forms()
    assert known.judge("sample", b"\xc1").refusal == Reason.FOREIGN_COLUMNS
    assert refusal(known, "sample", replace(SMALL, version=0)) == Reason.FOREIGN_COLUMNS
    many = [tuple(f"c{group}_{number}" for number in range(COLUMNS_MAX - 1)) for group in range(3)]
    wide = [TableForm(1, ("timestamp", *names), ("int64",) * COLUMNS_MAX, "x-") for names in many]
    assert [refusal(known, "x", form) for form in wide] == ["", "", Reason.FOREIGN_COLUMNS]


def test_verdicts_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the bound they are found again."""
    monkeypatch.setattr(foreign_forms, "VERDICTS_MAX", 2)
    known = forms()
    assert [refusal(known, "sample", replace(FORM, version=version)) for version in (1, 2, 3, 1)] == [""] * 4
