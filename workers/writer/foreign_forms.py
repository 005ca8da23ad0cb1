"""Which columns rows of other hosts may have, so that all rows of a table fit into one file. PURE.

A table has one type for each column, on all hosts: this version's, else that which was seen first. Rows with another are
refused, and so are tables and columns beyond a bound.
"""

from collections.abc import Mapping

from msgspec import Struct

from agent.model.errors import FormatError
from agent.model.tables import VIEW_NAMES
from agent.store.origin_form import COLUMNS_MAX, decode_form, is_table_name, other_form, why_unfit
from agent.store.record import OtherForm, TableForm
from workers.writer.gap import Reason

# Tables that this version does not declare: those of newer agents, a few in each version.
TABLES_MAX = 64
# Versions of all tables among the hosts of one hub; beyond it what was learnt is looked at again.
VERDICTS_MAX = 4096


class FormVerdict(Struct, frozen=True):
    """What becomes of rows with some columns: `other` as their record has it, or the `refusal` (a Reason) with a `problem`."""

    other: OtherForm | None = None
    refusal: str = ""
    problem: str = ""


class ForeignForms:
    """The columns seen beyond those that this version declares; `declared` are its own."""

    def __init__(self, declared: Mapping[str, TableForm]) -> None:
        self._declared = declared
        self._types = {table: dict(zip(form.names, form.dtypes, strict=True)) for table, form in declared.items()}
        # By table and name, their types.
        self.seen: dict[str, dict[str, str]] = {}
        self._verdicts: dict[tuple[str, bytes], FormVerdict] = {}

    def judge(self, table: str, encoded: bytes) -> FormVerdict:
        """Whether rows with these columns are stored; then later ones must agree with them."""
        found = self._verdicts.get((table, encoded))
        if found is None:
            if len(self._verdicts) >= VERDICTS_MAX:
                self._verdicts.clear()
            found = self._verdicts[table, encoded] = self._judge(table, encoded)
        return found

    def learn(self, table: str, types: Mapping[str, str]) -> bool:
        """Remember columns and their types; False, and nothing is remembered, where they do not agree or are too many."""
        known = {**self._types.get(table, {}), **self.seen.get(table, {})}
        if any(known.get(name, dtype) != dtype for name, dtype in types.items()):
            return False
        new = {name: dtype for name, dtype in types.items() if name not in known}
        if len(known) + len(new) > 2 * COLUMNS_MAX or (table not in self._types and not self._has_room(table)):
            return False
        if new:
            self.seen[table] = {**self.seen.get(table, {}), **new}
        return True

    def _judge(self, table: str, encoded: bytes) -> FormVerdict:
        if not is_table_name(table) or table in VIEW_NAMES:
            return FormVerdict(refusal=Reason.FOREIGN_TABLE, problem="no table can have this name")
        if table not in self._declared and not self._has_room(table):
            return FormVerdict(refusal=Reason.FOREIGN_TABLE, problem=f"more than {TABLES_MAX} tables are not known here")
        try:
            form = decode_form(encoded)
        except FormatError as failure:
            return FormVerdict(refusal=Reason.FOREIGN_COLUMNS, problem=failure.problem)
        problem = why_unfit(form)
        if not problem and not self.learn(table, dict(zip(form.names, form.dtypes, strict=True))):
            problem = "a column has another type here, or there are too many"
        if problem:
            return FormVerdict(refusal=Reason.FOREIGN_COLUMNS, problem=problem)
        return FormVerdict(other_form(form, self._declared.get(table)))

    def _has_room(self, table: str) -> bool:
        unknown = self.seen.keys() - self._declared.keys()
        return table in unknown or len(unknown) < TABLES_MAX
