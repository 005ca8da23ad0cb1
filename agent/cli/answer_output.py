"""Where an answer goes: to standard output or into a file, in the format that was asked for."""

import io

from agent.cli.answer_text import show_table, write_csv, write_json, write_json_lines

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from agent.cli.answer_text import TextSink
    from agent.cli.call import Call
    from agent.cli.statement import QueryAnswer


class BytesOut:
    """The end of a stream of bytes, as Arrow takes one: it closes nothing."""

    closed = False

    def __init__(self, write: "Callable[[bytes], int]") -> None:
        self.write = write

    def flush(self) -> None:
        """Nothing waits here."""

    def close(self) -> None:
        """Nothing: the caller that opened it closes it."""


def show(call: "Call", answered: "QueryAnswer", form: str, rows_max: int) -> None:
    """Print the answer, or write it into the file of --output. *Raises:* EvergaugeError, BrokenPipeError."""
    path = call.text("--output")
    if path is not None:
        _write_file(answered, form, path)
    elif form == "table":
        show_table(call, answered, rows_max)
    elif form == "arrow":
        from agent.cli.answer_file import write_arrow_stream

        write_arrow_stream(answered, BytesOut(call.output.write_bytes))
    elif form == "parquet":
        from agent.cli.answer_file import write_parquet

        write_parquet(answered, BytesOut(call.output.write_bytes))
    else:
        _write_text(answered, form, call.output, is_terminal=call.output.isatty())


def _write_file(answered: "QueryAnswer", form: str, path: str) -> None:
    from agent.cli.output_file import finished_file

    with finished_file(path) as file:
        if form in ("arrow", "parquet"):
            from agent.cli.answer_file import write_arrow_file, write_parquet

            (write_parquet if form == "parquet" else write_arrow_file)(answered, BytesOut(file.write))
            return
        text = io.TextIOWrapper(file, encoding="utf-8", newline="\n")
        _write_text(answered, form, text, is_terminal=False)
        text.flush()
        text.detach()


def _write_text(answered: "QueryAnswer", form: str, sink: "TextSink", *, is_terminal: bool) -> None:
    if form == "csv":
        write_csv(answered, sink, is_terminal=is_terminal)
    else:
        (write_json if form == "json" else write_json_lines)(answered, sink)
