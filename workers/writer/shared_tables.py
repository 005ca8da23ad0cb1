"""Which columns a segment's files have in which rows of several hosts lie: all that any of them has, each of one type. PURE."""

from agent.store.origin_form import columns_of, form_in, is_table_name, why_unfit
from agent.store.record import Entry, OtherForm, SegmentHead, TableForm


class SharedTables:
    """Learns the columns of other hosts' rows in a segment, before a file of it is begun."""

    def __init__(self, head: SegmentHead) -> None:
        self._head = head
        self._forms: dict[str, TableForm] = {}
        # By table and what its records say of their columns: these, or why rows with them have no place in the file.
        self._verdicts: dict[tuple[str, OtherForm | None], TableForm | str] = {}

    def learn(self, entry: Entry) -> None:
        """A batch of another host is in the segment."""
        assert entry.origin is not None
        key = entry.origin.table, entry.origin.form
        if key not in self._verdicts:
            self._verdicts[key] = self._judge(entry, entry.origin.table)

    def columns(self, entry: Entry) -> TableForm | str:
        """The columns of such a batch, or why it has no place in its table's file."""
        assert entry.origin is not None
        return self._verdicts.get((entry.origin.table, entry.origin.form), "its columns were not found in time")

    def form(self, table: str) -> TableForm | None:
        """The columns of a table's file. *Absent:* None where this host alone has rows of it."""
        return self._forms.get(table)

    def foreign_columns(self, table: str) -> tuple[str, ...]:
        """Those of a declared table that this version does not have."""
        declared, shared = self._head.tables.get(table), self._forms.get(table)
        return () if declared is None or shared is None else shared.names[len(declared.names) :]

    def _judge(self, entry: Entry, table: str) -> TableForm | str:
        # It becomes the name of a folder.
        if not is_table_name(table):
            return "no table can have this name"
        form = form_in(self._head, entry)
        if form is None:
            return "its columns are not known"
        if problem := why_unfit(form):
            return problem
        declared = self._head.tables.get(table)
        known = self._forms.get(table) or declared or form
        if _disagrees(known, form):
            return "a column has another type than in other rows"
        self._forms[table] = _united(known, form, keeps_version=declared is not None)
        return form


def _disagrees(known: TableForm, form: TableForm) -> bool:
    types = dict(zip(known.names, known.dtypes, strict=True))
    return any(types.get(name, dtype) != dtype for name, dtype in zip(form.names, form.dtypes, strict=True))


def _united(known: TableForm, form: TableForm, *, keeps_version: bool) -> TableForm:
    new = [column for column in columns_of(form) if column.name not in known.names]
    version = known.version if keeps_version else max(known.version, form.version)
    if not new and version == known.version:
        return known
    columns = [*columns_of(known), *new]
    return TableForm(
        version,
        tuple(column.name for column in columns),
        tuple(column.dtype for column in columns),
        known.prefix,
        tuple(column.nullable for column in columns),
    )
