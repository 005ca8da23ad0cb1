"""The kind of sink `file`: lines of OTLP, or copies of the rows in Arrow or Parquet, rotated."""

from agent.model.timebase import HOUR, S
from agent.setting import MIB, Choice, Duration, Size, Switch, Text, Whole
from workers.export.sink import Sink, SinkContext, SinkKind, SinkValues

PATH = Text("path", "", "folder of the files, an absolute path; its last part is made where it is missing")
FORMAT = Choice(
    "format", "otlp-json", ("otlp-json", "arrow", "parquet"), "otlp-json: lines of OTLP; arrow, parquet: copies of the rows"
)
ROTATE_BYTES = Size("rotate_bytes", 64 * MIB, MIB, 1 << 40, "another file begins before one becomes larger than this")
ROTATE_INTERVAL = Duration("rotate_interval", 1 * HOUR, 1 * S, 24 * 31 * HOUR, "another file begins once one is so old")
KEEP_FILES = Whole("keep_files", 24, 1, 100_000, "how many files of each stream stay; older ones are removed")
COMMAND_LINES = Switch("command_lines", False, "whether lines of OTLP have process.command_line; copies always have it")


def _check(values: SinkValues) -> str:
    path = values.of(PATH)
    if not path.startswith("/"):
        return "path: name a folder by its absolute path"
    if "/../" in f"{path}/":
        return "path: a path with .. in it leads elsewhere when something on it changes; write it without"
    return ""


def _open(context: SinkContext) -> Sink:
    from workers.export.file.file_sink import FileFormat, FileSink, FileSinkRules

    values = context.settings
    tables = frozenset(context.tables)
    layout: FileFormat
    if values.of(FORMAT) == "otlp-json":
        from workers.export.file.json_format import JsonFormat
        from workers.export.otlp.conventions_1_44_process import COMMAND_LINE_OPTION

        layout = JsonFormat(context.agent_version, tables, frozenset({COMMAND_LINE_OPTION} if values.of(COMMAND_LINES) else ()))
    else:
        from workers.export.file.arrow_format import ArrowFormat

        layout = ArrowFormat(tables, is_parquet=values.of(FORMAT) == "parquet")
    rules = FileSinkRules(values.of(PATH), values.of(ROTATE_BYTES), values.of(ROTATE_INTERVAL), values.of(KEEP_FILES))
    return FileSink(context, rules, layout)


SINK = SinkKind(
    name="file",
    about="Files of a folder: lines of OTLP, or copies of the rows in Arrow or Parquet, rotated by size and age.",
    options=(PATH, FORMAT, ROTATE_BYTES, ROTATE_INTERVAL, KEEP_FILES, COMMAND_LINES),
    identity=(PATH, FORMAT),
    open=_open,
    context_tables=("pod_group", "container_name"),
    is_ordered=True,
    check=_check,
)
