"""Counts of the memory controller, from real files, every part of them, and any bytes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.model.errors import KernelFormatError
from workers.unit.oom_reading import (
    MemoryEvents,
    parse_count,
    parse_memory_events,
    parse_memory_limit,
    parse_oom_control,
    parse_oom_kills,
)

# Linux 6.12 and 5.10.
NEW = b"low 0\nhigh 4\nmax 31\noom 2\noom_kill 3\noom_group_kill 1\n"
OLD = b"low 0\nhigh 0\nmax 7\noom 1\noom_kill 1\n"
CONTROL = b"oom_kill_disable 0\nunder_oom 0\noom_kill 5\n"
VMSTAT = b"nr_free_pages 1\ndrop_pagecache 0\noom_kill 12\nnuma_hit 3\n"


def test_the_counts_of_a_cgroup() -> None:
    """Groups are counted by newer kernels alone."""
    assert parse_memory_events(NEW) == MemoryEvents(2, 3, 1)
    assert parse_memory_events(OLD) == MemoryEvents(1, 1, None)
    assert parse_oom_control(CONTROL, 9) == MemoryEvents(9, 5)
    assert parse_oom_kills(VMSTAT) == 12
    assert parse_oom_kills(b"oom_kill 1\n") == 1


@pytest.mark.parametrize(
    "text", [b"", b"oom 1\n", b"oom_kill 1\n", b"oom x\noom_kill 1\n", b"oom 99999999999999999999\noom_kill 1\n"]
)
def test_what_is_no_count_is_refused(text: bytes) -> None:
    """And never taken for zero."""
    with pytest.raises(KernelFormatError):
        parse_memory_events(text)


@pytest.mark.parametrize("text", [b"", b"x_oom_kill 1\n", b"oom_kill \n", b"oom_kill -1\n"])
def test_a_host_that_counts_no_kills_is_refused(text: bytes) -> None:
    """Linux before 4.13."""
    with pytest.raises(KernelFormatError):
        parse_oom_kills(text)


def test_an_oom_control_without_kills_is_refused() -> None:
    """Linux before 4.13."""
    with pytest.raises(KernelFormatError):
        parse_oom_control(b"oom_kill_disable 0\nunder_oom 0\n", 0)


@pytest.mark.parametrize(
    ("text", "limit"),
    [(b"max\n", None), (b"67108864\n", 67108864), (b"9223372036854771712\n", None), (b"", None), (b"x", None), (b"9" * 30, None)],
)
def test_a_limit_is_bytes_or_none(text: bytes, limit: int | None) -> None:
    """v1 writes a large number where there is none."""
    assert parse_memory_limit(text) == limit


@pytest.mark.parametrize("text", [NEW, OLD, CONTROL, VMSTAT])
def test_every_prefix_and_every_altered_byte_is_a_count_or_refused(text: bytes) -> None:
    """Nothing else is raised."""
    for at in range(len(text)):
        for changed in (text[:at], text[:at] + b"\xff" + text[at + 1 :], text[:at] + b"9" + text[at + 1 :]):
            any_reading(changed)


@given(st.binary(max_size=200))
def test_any_bytes_are_counts_or_refused(text: bytes) -> None:
    """Nothing else is raised."""
    any_reading(text)


def any_reading(text: bytes) -> None:
    """By every parser."""
    for parse in (parse_memory_events, lambda text: parse_oom_control(text, 0), parse_oom_kills, parse_count):
        try:
            parse(text)
        except KernelFormatError:
            continue
    parse_memory_limit(text)
