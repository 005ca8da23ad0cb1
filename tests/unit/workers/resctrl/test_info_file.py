"""The forms of the files that describe a mount."""

from collections.abc import Callable
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.resctrl import info_file
from workers.resctrl.info_file import (
    AssignMode,
    EventFeatures,
    parse_assign_mode,
    parse_decimal,
    parse_domain_counts,
    parse_features,
    parse_filter,
    parse_full_sizes,
    parse_mask,
    parse_monitored_domain,
)

FORMS: list[tuple[Callable[[str], object], str, object]] = [
    (parse_decimal, "448\n", 448),
    (parse_mask, "7fff\n", 0x7FFF),
    (parse_features, "llc_occupancy\n", EventFeatures(("llc_occupancy",), ())),
    (
        parse_features,
        "llc_occupancy\nmbm_total_bytes\nmbm_total_bytes_config\nmbm_local_bytes\n",
        EventFeatures(("llc_occupancy", "mbm_total_bytes", "mbm_local_bytes"), ("mbm_total_bytes",)),
    ),
    (parse_features, "core_energy\nactivity\n", EventFeatures(("core_energy", "activity"), ())),
    (parse_assign_mode, "[mbm_event]\ndefault\n", AssignMode("mbm_event", ("mbm_event", "default"))),
    (parse_assign_mode, "mbm_event\n[default]\n", AssignMode("default", ("mbm_event", "default"))),
    (parse_domain_counts, "0=32;1=31\n", {0: 32, 1: 31}),
    (parse_domain_counts, "0=0\n", {0: 0}),
    (
        parse_filter,
        "local_reads,remote_reads,dirty_victim_writes_all\n",
        ("local_reads", "remote_reads", "dirty_victim_writes_all"),
    ),
    (parse_filter, "\n", ()),
]
BAD: list[tuple[Callable[[str], object], str]] = [
    *((parse_decimal, text) for text in ("", "x", "-1", "0x10", "1 2", "9" * 20, "١")),
    *((parse_mask, text) for text in ("", "0", "g", "-f", "0xff", "f" * 17)),
    *((parse_features, text) for text in ("", "\n", "LLC", "llc-occupancy", "[x]")),
    *((parse_assign_mode, text) for text in ("", "default\n", "[default\n", "default]\n", "[De fault]\n")),
    *((parse_domain_counts, text) for text in ("", "0", "0=", "=1", "0=1;", "0=1=2", "a=1", "0=-1")),
]


@pytest.mark.parametrize(("parse", "text", "expected"), FORMS)
def test_what_kernels_write(parse: Callable[[str], object], text: str, expected: object) -> None:
    """Each form as it stands in a file."""
    assert parse(text) == expected


@pytest.mark.parametrize(("parse", "text"), BAD)
def test_what_they_never_write(parse: Callable[[str], object], text: str) -> None:
    """Anything else is a ValueError and no value."""
    with pytest.raises(ValueError, match=r"."):
        parse(text)


@given(st.text(max_size=40), st.sampled_from(sorted({parse.__name__ for parse, _text, _expected in FORMS})))
def test_no_text_makes_a_parser_fail_otherwise(text: str, parse: str) -> None:
    """Whatever stands in a file, the answer is a value or a ValueError."""
    with suppress(ValueError):
        getattr(info_file, parse)(text)


@given(st.text(max_size=60), st.text(max_size=60))
def test_no_schemata_and_sizes_make_the_sizes_fail(schemata: str, sizes: str) -> None:
    """Sizes that cannot be known are left out."""
    assert parse_full_sizes("L3", 0xFF, schemata, sizes) == {}


@pytest.mark.parametrize(
    ("name", "prefix", "expected"),
    [("mon_L3_00", "mon_L3_", 0), ("mon_L3_16", "mon_L3_", 16), ("mon_sub_L3_03", "mon_sub_L3_", 3), ("mon_L3_100", "mon_L3_", 100),
     ("mon_sub_L3_03", "mon_L3_", None), ("mon_L3_", "mon_L3_", None), ("mon_L3_0x", "mon_L3_", None), ("07", "mon_L3_", None)],
)  # fmt: skip
def test_domains_by_the_names_of_directories(name: str, prefix: str, expected: int | None) -> None:
    """The number is at the end; sub-domains are not domains."""
    assert parse_monitored_domain(name, prefix) == expected


def test_whole_caches_from_the_shares_of_the_default_group() -> None:
    """Half of the slices have half of the bytes; other resources, and domains of which one file is silent, do not count."""
    schemata = "    MB:0=100;1=100\n    L3:0=ff;1=f;2=0;3=ff;4=1ff;5=x\n"
    sizes = "    MB:0=100;1=100\n    L3:0=8388608;1=4194304;2=0;4=8388608;5=8388608\n"

    assert parse_full_sizes("L3", 0xFF, schemata, sizes) == {0: 8388608, 1: 8388608}
    assert parse_full_sizes("L2", 0xFF, schemata, sizes) == {}


def test_caches_with_code_and_data_apart() -> None:
    """Each of the two stands for the whole cache."""
    schemata = "L3DATA:0=ff\nL3CODE:0=3\n"
    sizes = "L3DATA:0=8388608\nL3CODE:0=2097152\n"

    assert parse_full_sizes("L3DATA", 0xFF, schemata, sizes) == parse_full_sizes("L3CODE", 0xFF, schemata, sizes) == {0: 8388608}
