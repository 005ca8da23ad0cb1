"""docs/gaps.md names every reason, and its queries answer right."""

import io
import json
import re
from pathlib import Path
from typing import Any

from fakes.stored_data import FORMS, batch_of, head_of, process_row, write_segment

from agent.cli.program import run
from agent.model.gap_cause import GapCause
from agent.model.message import Identity
from agent.model.tables import GAP
from agent.store.record import form_of
from workers.writer.gap import Gap, Reason

PAGE = (Path(__file__).parents[2] / "docs/gaps.md").read_text()
STATEMENTS = re.findall(r"```sql\n(.*?)```", PAGE, re.DOTALL)
BEGIN_NS = 1_700_000_040 * 10**9
MINUTE_NS = 60 * 10**9


def _answer(tmp_path: Path, statement: str) -> list[dict[str, Any]]:
    out, told = io.StringIO(), io.StringIO()
    code = run(["--state-dir", str(tmp_path), "query", statement, "--json"], {}, out, told)
    assert (code, told.getvalue()) == (0, "")
    rows: list[dict[str, Any]] = json.loads(out.getvalue())
    return rows


def test_every_reason_has_its_line() -> None:
    """On the page, and in the schema's words."""
    named = set(re.findall(r"`(\w+)`", " ".join(line.split("|")[1] for line in PAGE.splitlines() if line.startswith("| `"))))
    reasons = {*Reason, *GapCause, "buffer_full"}
    assert reasons <= named
    about = next(column.about for column in GAP.columns if column.name == "reason")
    assert set(re.findall(r"\w+", about)) - {"or"} == reasons


def test_the_queries_answer_what_their_sentences_say(tmp_path: Path) -> None:
    """Two minutes of ticks: a frozen stretch, a death that cost ticks, and one that cost none."""
    who, other = Identity("run-1", "sampler/process", 1), Identity("run-1", "writer", 1)
    gaps = [
        Gap(who, None, None, None, None, BEGIN_NS, BEGIN_NS + 9 * 10**9, "frozen", 8, 10),
        Gap(who, 7, None, None, None, BEGIN_NS + MINUTE_NS, BEGIN_NS + MINUTE_NS + 3 * 10**9, "worker_died", 2, 64),
        Gap(other, 7, None, None, None, None, None, "worker_died"),
    ]
    rows = [process_row(BEGIN_NS + at * 10**9, 1) for at in (0, 9, 60, 63)]
    frames = head_of("a", {**FORMS, "gap": form_of(GAP)})
    frames += batch_of("process", rows) + batch_of("gap", [gap.row(BEGIN_NS + MINUTE_NS) for gap in gaps])
    write_segment(tmp_path, "a", frames)
    sums, longest, minutes = STATEMENTS
    assert [(row["worker"], row["reason"], row["ticks"], row["holes"]) for row in _answer(tmp_path, sums)] == [
        ("sampler/process", "frozen", 8, 1),
        ("sampler/process", "worker_died", 2, 1),
    ]
    assert [(row["seconds"], row["reason"], row["ticks"]) for row in _answer(tmp_path, longest)] == [
        (9.0, "frozen", 8),
        (3.0, "worker_died", 2),
    ]
    assert [(row["stored"], row["missing"]) for row in _answer(tmp_path, minutes)] == [(2, 8), (2, 2)]
