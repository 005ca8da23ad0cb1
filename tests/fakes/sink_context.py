"""What a sink is opened with in tests."""

from pathlib import Path

from workers.export.sink import SinkContext, SinkValues


def sink_context(
    kind: str,
    section: dict[str, int | str | bool],
    *,
    tables: tuple[str, ...] = (),
    folder: Path | None = None,
    variables: dict[str, str] | None = None,
) -> SinkContext:
    """A context of a section with these values. Notes are thrown away."""
    values = SinkValues("test", kind, section)
    return SinkContext(
        values, "node-1", "install-1", "9", str(folder or "/nowhere"), variables or {}, lambda: 1_700_000_000 * 10**9,
        lambda _kind, _severity, _sentence: None, tables,
    )  # fmt: skip
