"""Which columns the rows of a lake may have: each of one type, in all messages. PURE.

This version's declarations come first. What a later version of a host has beyond them, and whole tables that are not declared here,
are kept by the columns that they bring; the first of a name says its type.
"""

from collections.abc import Iterable, Mapping, Sequence

from agent.lake.clickhouse_ddl import OWN_PREFIX
from agent.model.column_type import DType
from agent.model.errors import FormatError
from agent.model.table import Table
from agent.model.tables import VIEW_NAMES
from agent.store.origin_form import COLUMNS_MAX, FormColumn, columns_of, is_table_name, why_unfit
from agent.store.record import TableForm

# Tables that this version does not declare: those of newer agents, a few in each version.
TABLES_MAX = 64
WHERE = "message of a topic"


class KnownColumns:
    """Learns the columns of one lake; a process that starts again begins with the declarations."""

    def __init__(self, declared: Iterable[Table]) -> None:
        tables = list(declared)
        self._declared = {table.name: frozenset(table.column_names) for table in tables}
        self._columns = {
            table.name: {column.name: FormColumn(column.name, column.dtype, column.nullable) for column in table.columns}
            for table in tables
        }
        # By table and what messages had; a host sends the same again and again.
        self._fits: dict[tuple[str, tuple[tuple[str, DType], ...]], tuple[FormColumn, ...]] = {}

    def fit(self, table: str, version: int, columns: Sequence[tuple[str, DType]]) -> tuple[FormColumn, ...]:
        """All columns of the table that the message has, in the order in which files have them.

        *Raises:* FormatError where rows of these columns have no place in the table.
        """
        key = table, tuple(columns)
        found = self._fits.get(key)
        if found is None:
            found = self._fit(table, version, columns)
            # A hostile host could send others without end.
            if len(self._fits) >= 16 * COLUMNS_MAX:
                self._fits.clear()
            self._fits[key] = found
        return found

    def columns(self, table: str) -> tuple[FormColumn, ...]:
        """All columns that the table has so far: this version's, then others in the order in which they came."""
        return tuple(self._columns.get(table, {}).values())

    def is_declared(self, table: str, column: str) -> bool:
        """Whether this version has the column."""
        return column in self._declared.get(table, ())

    def learn(self, table: str, types: Mapping[str, DType]) -> None:
        """What a store says that it has: messages must agree with it. Nothing is learnt of what disagrees with the declarations."""
        if is_table_name(table) and (table in self._columns or len(self._columns) - len(self._declared) < TABLES_MAX):
            known = self._columns.setdefault(table, {})
            for name, dtype in types.items():
                known.setdefault(name, FormColumn(name, dtype, nullable=True))

    def _fit(self, table: str, version: int, columns: Sequence[tuple[str, DType]]) -> tuple[FormColumn, ...]:
        # It becomes the name of a folder, or of a table beside the merger's own ones.
        if not is_table_name(table) or table in VIEW_NAMES or table.startswith(OWN_PREFIX):
            raise FormatError(WHERE, "no table can have the name that it says")
        form = TableForm(version, tuple(name for name, _ in columns), tuple(str(dtype) for _, dtype in columns), f"{table}-")
        if problem := why_unfit(form):
            raise FormatError(WHERE, f"of table {table}: {problem}")
        known = self._columns.get(table)
        if known is None:
            if len(self._columns) - len(self._declared) >= TABLES_MAX:
                raise FormatError(WHERE, f"more than {TABLES_MAX} tables are not known here; table {table} is left out")
            known = {}
        there = dict(columns)
        for column in known.values():
            if there.get(column.name, column.dtype) != column.dtype:
                raise FormatError(WHERE, f"of table {table}: column {column.name} is of type {column.dtype} here")
            if column.name not in there and not column.nullable:
                raise FormatError(WHERE, f"of table {table}: it has no column {column.name}")
        new = [column for column in columns_of(form) if column.name not in known]
        if len(known) + len(new) > 2 * COLUMNS_MAX:
            raise FormatError(WHERE, f"of table {table}: there are more than {2 * COLUMNS_MAX} columns")
        self._columns[table] = known | {column.name: column for column in new}
        return tuple(column for column in self._columns[table].values() if column.name in there)
