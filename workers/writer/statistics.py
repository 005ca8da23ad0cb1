"""What the writer counts. PURE."""

from collections.abc import Mapping

from msgspec import Struct, field

from agent.model.tables import GAP


class WriterStatistics(Struct):
    """Since the start of this writer: what came, what was stored, what could not be."""

    batches: int = 0
    rows: int = 0
    rows_by_table: dict[str, int] = field(default_factory=dict)
    duplicates: int = 0
    gap_rows: int = 0
    malformed: int = 0
    append_errors: int = 0
    torn_tails: int = 0

    def count_rows(self, batches: int, rows_by_table: Mapping[str, int]) -> None:
        """These were appended."""
        self.batches += batches
        for table, rows in rows_by_table.items():
            self.rows += rows
            self.gap_rows += rows if table == GAP.name else 0
            self.rows_by_table[table] = self.rows_by_table.get(table, 0) + rows
