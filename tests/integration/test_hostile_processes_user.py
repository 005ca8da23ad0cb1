"""The process sampler as an ordinary user of the machine: what it may not read of others is null with its reason, and counted."""

import os
from typing import Any

import pytest
from fakes.other_user import as_other_user
from fakes.real_processes import ticking


def test_an_ordinary_user_measures_every_process_and_says_what_it_may_not_read() -> None:
    """CPU and memory of all; input and output of others are null with the reason, and counted."""
    if os.geteuid() != 0:
        pytest.skip("giving up root needs root")

    def look() -> dict[str, Any]:
        with ticking() as ticks:
            ticks.tick()
            found = ticks.tick()
        own = os.getpid()
        (ours,) = [row for row in found["process"] if row["pid"] == own]
        others = [row for row in found["process"] if row["uid"] == 0 and row["pid"] != own]
        return {"ours": ours, "others": others, "scan": found["process_scan"][0]}

    seen = as_other_user(look)
    assert seen["others"]
    # Of one whose first thread has ended the others may be about to end, and have no memory any more.
    assert all(row["rss_bytes"] is not None for row in seen["others"] if row["state"] not in "ZX")
    assert all(row["read_bytes"] is None and row["absent"] for row in seen["others"])
    assert any("no_permission" in row["absent"] for row in seen["others"])
    assert seen["scan"]["io_unreadable"] >= len(seen["others"])
