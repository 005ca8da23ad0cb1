"""The rows of stored batches, checked one by one against the columns that their segment declares. PURE."""

from collections.abc import Sequence

from agent.model.column_type import DType
from agent.model.errors import FormatError
from agent.model.row_check import TIMESTAMP, BadRow, RowCheck, check_of_form
from agent.model.table import Row
from agent.store.record import TableForm, decode_rows


class RowDecoder:
    """Decodes the batches of one table in one segment. Every reader of a spool uses it, so that all see the same rows.

    *Raises:* FormatError at its making, for column types that this version does not know and for a time that is none.
    """

    def __init__(self, form: TableForm) -> None:
        self.dtypes = dtypes_of(form)
        self._check: RowCheck = check_of_form(form.names, self.dtypes, form.nullable)

    def decode(self, encoded: bytes) -> tuple[Sequence[Row], list[BadRow]]:
        """The rows that fit, in their order, and why each of the others does not.

        *Raises:* FormatError when the bytes are no rows at all.
        """
        return self._check.sift(decode_rows(encoded))


def dtypes_of(form: TableForm) -> tuple[DType, ...]:
    """The types of the columns that a segment declares. *Raises:* FormatError for types unknown here, or a wrong time."""
    try:
        known = tuple(DType(word) for word in form.dtypes)
    except ValueError as cause:
        raise FormatError(
            "spool", f"a segment has columns that this version does not know ({cause})", "upgrade agentctl"
        ) from cause
    if len(known) != len(form.names):
        raise FormatError("spool", f"a segment declares {len(form.names)} columns of a table and {len(known)} types")
    if any(name == TIMESTAMP and dtype is not DType.INT64 for name, dtype in zip(form.names, known, strict=True)):
        raise FormatError("spool", "a segment declares a table whose time is no int64")
    return known
