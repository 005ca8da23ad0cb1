"""The statements that make the views of a query: a table's sources in one, `at` in front of its columns, names. PURE."""

from collections.abc import Callable, Sequence

from msgspec import Struct

from agent.cli.sql_text import COLUMN_AT, literal, quoted
from agent.cli.time_bounds import BEHIND_LAST_NS, FIRST_NS, TimeBounds
from agent.model.column_type import COLUMN_TYPES, DType
from agent.model.table import HOST_COLUMN, INSTALL_COLUMN, Table

TIMESTAMP = "timestamp"
AT_TYPE = "TIMESTAMP WITH TIME ZONE"
# Up to this many groups of equal columns are sources of their own; beyond that DuckDB unites the columns and first opens each file.
GROUPS_MAX = 8

# The views that say of a moment which pod was what, and of a container what it is called, with what they are made from.
PODS, PODS_FROM = "pod", "pod_group"
CONTAINERS, CONTAINERS_FROM = "container", "container_name"
# What a runtime reports of a pod, which may come later than the pod.
_REPORTED = ("pod_namespace", "pod_name", "labels")
UTC_MACRO = "CREATE MACRO utc(unix_ns) AS make_timestamp_ns(unix_ns)"

Columns = Sequence[tuple[str, str]]


class FileGroup(Struct, frozen=True):
    """Files of equal columns, by the names with which DuckDB opens them."""

    columns: tuple[tuple[str, str], ...]
    places: tuple[str, ...]


class ViewParts(Struct, frozen=True):
    """What the view of a table is made of.

    `columns` are those that are there without any data, with their SQL types; `spool` names the table of its rows of the open
    spool, None: there is none. `has_timestamp` says whether its rows have a time.
    """

    columns: Columns
    sources: tuple[FileGroup, ...]
    spool: str | None
    has_timestamp: bool


def sql_columns(table: Table) -> Columns:
    """The stored columns of a declared table with their SQL types."""
    declared = [(column.name, COLUMN_TYPES[column.dtype].sql) for column in table.columns]
    return [*declared, (HOST_COLUMN, COLUMN_TYPES[DType.UTF8].sql)]


def sql_type(word: str) -> str:
    """The SQL type of a column that a segment of the spool declares; text for types of later versions."""
    return COLUMN_TYPES[DType(word)].sql if word in set(DType) else "VARCHAR"


def view_statement(name: str, parts: ViewParts, bounds: TimeBounds) -> str:
    """The statement that makes the view `name` (as SQL has it) with the rows within the bounds."""
    united = _alone(parts) or _united(parts)
    if not parts.has_timestamp:
        return f"CREATE VIEW {name} AS {united}"
    at = f"make_timestamptz({quoted(TIMESTAMP)} // 1000) AS {quoted(COLUMN_AT)}"
    return f"CREATE VIEW {name} AS SELECT {at}, * FROM ({united}){_where(bounds)}"


def _alone(parts: ViewParts) -> str | None:
    """The scan of the only files that there are, where they have all columns in their order; None: something is to be united.

    DuckDB counts the rows of a scan by the footers of its files, but not those of a union.
    """
    if parts.spool is not None or len(parts.sources) != 1:
        return None
    declared = [column for column, _ in parts.columns]
    found = [column for column, _ in parts.sources[0].columns]
    # Others are rare: files of older or newer agents alone.
    return _scan(parts.sources[0].places) if found[: len(declared)] == declared else None


def _united(parts: ViewParts) -> str:
    sources = [_empty(parts.columns)] if parts.columns else []
    sources += _scans(parts.sources)
    if parts.spool is not None:
        sources.append(f"SELECT * FROM {parts.spool}")
    # The empty folder of an undeclared table.
    return " UNION ALL BY NAME ".join(sources or ["SELECT NULL AS empty WHERE false"])


def _where(bounds: TimeBounds) -> str:
    conditions = []
    if bounds.since_ns > FIRST_NS:
        conditions.append(f"{quoted(TIMESTAMP)} >= {_number(bounds.since_ns)}")
    if bounds.until_ns < BEHIND_LAST_NS:
        conditions.append(f"{quoted(TIMESTAMP)} < {_number(bounds.until_ns)}")
    return f" WHERE {' AND '.join(conditions)}" if conditions else ""


def _number(value_ns: int) -> str:
    return str(max(FIRST_NS, min(BEHIND_LAST_NS - 1, value_ns)))


def _scans(sources: Sequence[FileGroup]) -> list[str]:
    if len(sources) > GROUPS_MAX:
        return [_scan([place for source in sources for place in source.places], "union_by_name = true, ")]
    return [_scan(source.places) for source in sources]


def _scan(places: Sequence[str], options: str = "") -> str:
    # The date of the folder is no column: it repeats `timestamp`, and the spool has none.
    return f"SELECT * FROM read_parquet([{', '.join(map(literal, places))}], {options}hive_partitioning = false)"


def _empty(columns: Columns) -> str:
    """A source without rows that has these columns."""
    typed = (f"CAST(NULL AS {dtype}) AS {quoted(column)}" for column, dtype in columns)
    return f"SELECT {', '.join(typed)} WHERE false"


def pods_statement(source: str, *, is_shared: bool = False) -> str:
    """The statement that makes the view of pods by interval from a view of `pod_group` (as SQL has its name).

    *Shape:* each interval once, by the last row that was written of it; `is_shared`: each of each installation. Where the agent
    ended before it could close one, the pod's next ends it. A name that came later counts from the beginning, and one that later
    rows lack stays; so do labels.
    """
    # Paths of units are alike on all hosts.
    whose = f"{INSTALL_COLUMN}, " if is_shared else ""
    known = ", ".join(
        f"coalesce(first_value({column} IGNORE NULLS) OVER later, last_value({column} IGNORE NULLS) OVER earlier) AS {column}"
        for column in _REPORTED
    )
    return f"""
CREATE VIEW {PODS} AS
WITH told AS (
    SELECT * FROM {source}
    QUALIFY row_number() OVER (PARTITION BY {whose}pod_uid, valid_from ORDER BY timestamp DESC, valid_until DESC NULLS LAST) = 1),
known AS (
    SELECT * REPLACE ({known}),
           least(valid_until, lead(valid_from) OVER (PARTITION BY {whose}pod_uid ORDER BY valid_from)) AS ended
    FROM told
    WINDOW later AS (PARTITION BY {whose}pod_uid ORDER BY valid_from ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING),
           earlier AS (PARTITION BY {whose}pod_uid ORDER BY valid_from ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW))
SELECT pod_uid, coalesce(coalesce(pod_namespace || '/', '') || pod_name, pod_uid) AS name, valid_from, ended AS valid_until,
       * EXCLUDE (pod_uid, valid_from, valid_until, ended, timestamp, {quoted(COLUMN_AT)})
FROM known
"""


def containers_statement(source: str, *, is_shared: bool = False) -> str:
    """The statement that makes the view of containers by their ids from a view of `container_name` (as SQL has its name).

    *Shape:* each container once, by the last row that was written of it. An id is of one host, so `is_shared` changes nothing.
    """
    return f"""
CREATE VIEW {CONTAINERS} AS
SELECT container_id, arg_max(name, timestamp) AS name, arg_max(pod_uid, timestamp) AS pod_uid, min(timestamp) AS known_from
FROM {source} GROUP BY container_id
"""


class DerivedView(Struct, frozen=True):
    """A view that is made of all rows of a table, whatever times are asked for: what it names may have begun long before.

    `statement` takes the table as SQL has its name, and whether rows of several installations are in it (`is_shared`).
    """

    name: str
    source: str
    statement: Callable[..., str]


DERIVED_VIEWS = (DerivedView(PODS, PODS_FROM, pods_statement), DerivedView(CONTAINERS, CONTAINERS_FROM, containers_statement))
