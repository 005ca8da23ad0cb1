"""Sections of sinks: what they give, and the sentence that a bad one gets."""

import tomllib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.model.errors import ConfigError
from agent.model.timebase import S
from agent.setting import Text, Whole
from agent.sink_section import SINKS_MAX, TABLES_MAX, checked_sinks, sink_document

KINDS = {"file": (Text("folder", "/tmp", "where"), Whole("files_max", 3, 1, 10, "how many")), "otlp": ()}


def checked(text: str) -> dict[str, dict[str, Any]]:
    """The sections of a settings file."""
    return checked_sinks(tomllib.loads(text).get("sink", {}), KINDS, origin="agent.toml")


def test_a_section_gives_the_values_that_it_has() -> None:
    """Parsed, with the kind; what it leaves out is not there."""
    found = checked('[sink."central"]\nkind = "file"\nfolder = "/data"\nfiles_max = 5\nquota = "2GiB"\ninterval = "10s"\n')
    assert found == {"central": {"kind": "file", "folder": "/data", "files_max": 5, "quota": 2 << 30, "interval": 10 * S}}


def test_tables_are_a_list_of_names() -> None:
    """Each once, in their order; an empty list is the same as none."""
    assert checked('[sink.a]\nkind = "otlp"\ntables = ["unit", "host", "unit"]\n')["a"]["tables"] == "unit,host"
    assert checked('[sink.a]\nkind = "otlp"\ntables = []\n')["a"]["tables"] == ""
    assert checked('[sink.a]\nkind = "otlp"\ntables = ""\n')["a"]["tables"] == ""


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("sink = 3", "agent.toml: sink: this is no section"),
        ('sink.a = "x"', "sink.a: this is no section"),
        ('[sink.""]\nkind = "file"', "cannot have this name"),
        ('[sink."Central"]\nkind = "file"', "cannot have this name"),
        ('[sink."a/../b"]\nkind = "file"', "cannot have this name"),
        ('[sink."-a"]\nkind = "file"', "cannot have this name"),
        (f'[sink."{"a" * 33}"]\nkind = "file"', "cannot have this name"),
        ('[sink."\\u0000"]\nkind = "file"', "cannot have this name"),
        ("[sink.a]", "sink.a.kind: it is missing; write one of file, otlp"),
        ('[sink.a]\nkind = "kafka"', "there is no kind 'kafka'"),
        ("[sink.a]\nkind = 3", "there is no kind 3"),
        ('[sink.a]\nkind = "file"\nfoldr = "x"', "sink.a.foldr: there is no such key; did you mean folder?"),
        ('[sink.a]\nkind = "file"\nzzzzzz = "x"', "there are kind, tables, quota"),
        ('[sink.a]\nkind = "otlp"\nfolder = "x"', "sink.a.folder: there is no such key"),
        ('[sink.a]\nkind = "file"\nfiles_max = 11', "sink.a.files_max: 11 is not accepted"),
        ('[sink.a]\nkind = "file"\nquota = "1KiB"', "sink.a.quota: '1KiB' is not accepted"),
        ('[sink.a]\nkind = "file"\nquota = true', "sink.a.quota: True is not accepted"),
        ('[sink.a]\nkind = "file"\ninterval = "1ms"', "sink.a.interval: '1ms' is not accepted"),
        ('[sink.a]\nkind = "file"\nretry_most = "2d"', "sink.a.retry_most: '2d' is not accepted"),
        ('[sink.a]\nkind = "file"\nbacklog_percent = -1', "sink.a.backlog_percent: -1 is not accepted"),
        ('[sink.a]\nkind = "file"\nbacklog_percent = 101', "sink.a.backlog_percent: 101 is not accepted"),
        ('[sink.a]\nkind = "file"\ntables = "no table"', "not a list of names of tables"),
        ('[sink.a]\nkind = "file"\ntables = [1]', "not a list of names of tables"),
        ('[sink.a]\nkind = "file"\ntables = ["../x"]', "not a list of names of tables"),
        ('[sink.a]\nkind = "file"\ntables = 0', "not a list of names of tables"),
        ('[sink.a]\nkind = "file"\ntables = false', "not a list of names of tables"),
        ('[sink.a]\nkind = "file"\ntables = {}', "not a list of names of tables"),
        (f'[sink.a]\nkind = "file"\ntables = {[f"t{number}" for number in range(TABLES_MAX + 1)]}', "more than 64 names"),
        ('[sink.a]\nkind = "file"\nprocess = "A b"', "sink.a.process: 'A b' is not accepted"),
        ('[sink.a]\nkind = "file"\nprocess = "a"', "a is a sink, which has a worker of this name"),
        ("\n".join(f'[sink.a{number}]\nkind = "file"' for number in range(SINKS_MAX + 1)), "17 sinks are described"),
    ],
)
def test_a_bad_section_gets_its_sentence(text: str, words: str) -> None:
    """With the file, the key, and what may be written."""
    with pytest.raises(ConfigError) as refused:
        checked(text)
    assert words in refused.value.sentence
    assert refused.value.sentence.startswith("agent.toml: sink")


def test_a_wrong_key_does_not_show_its_value() -> None:
    """A credential that somebody wrote there is not repeated."""
    with pytest.raises(ConfigError) as refused:
        checked('[sink.a]\nkind = "file"\npassword = "hunter2"')
    assert "hunter2" not in refused.value.sentence


def test_a_document_gives_the_section_again() -> None:
    """With every value, the defaults too."""
    text = '[sink."central"]\nkind = "file"\ntables = ["unit"]\nquota = "3GiB"\nprocess = "shared"\n'
    section = checked(text)["central"]
    lines = sink_document("central", section, KINDS["file"])
    again = checked("\n".join(lines))["central"]
    assert {**again, **section} == again
    assert set(again) == {
        "kind", "tables", "quota", "interval", "backlog_percent", "retry_most", "process", "folder", "files_max"
    }  # fmt: skip


toml_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(["kind", "tables", "quota", "interval", "folder", "x"]), toml_values, max_size=5))
def test_any_section_is_accepted_or_refused_in_a_sentence(section: dict[str, Any]) -> None:
    """Nothing else is raised."""
    try:
        found = checked_sinks({"a": section}, KINDS, origin="agent.toml")
    except ConfigError:
        return
    assert found["a"]["kind"] in KINDS
