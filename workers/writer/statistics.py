"""What the writer counts. PURE."""

from collections.abc import Mapping
from typing import Any

from msgspec import Struct, field

from agent.model.tables import GAP
from workers.writer.foreign import ForeignBatches, ForeignCounts


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
    # Of other hosts: batches and rows stored, batches that were stored before, batches refused by reason.
    foreign_batches: int = 0
    foreign_rows: int = 0
    foreign_duplicates: int = 0
    foreign_refused: dict[str, int] = field(default_factory=dict)

    def count_rows(self, batches: int, rows_by_table: Mapping[str, int]) -> None:
        """These were appended."""
        self.batches += batches
        for table, rows in rows_by_table.items():
            self.rows += rows
            self.gap_rows += rows if table == GAP.name else 0
            self.rows_by_table[table] = self.rows_by_table.get(table, 0) + rows

    def count_foreign(self, counts: ForeignCounts) -> None:
        """This came of other hosts, and was appended as far as it is stored."""
        self.foreign_batches += counts.batches
        self.foreign_rows += counts.rows
        self.foreign_duplicates += counts.duplicates
        for reason, batches in counts.refused.items():
            self.foreign_refused[reason] = self.foreign_refused.get(reason, 0) + batches

    def foreign(self, known: ForeignBatches | None) -> dict[str, Any]:
        """What `status` says of other hosts. *Absent:* empty where none has ever sent anything."""
        if known is None or not (known.marks.count or self.foreign_refused or self.foreign_duplicates):
            return {}
        return {
            "batches": self.foreign_batches,
            "rows": self.foreign_rows,
            "duplicates": self.foreign_duplicates,
            "refused": dict(self.foreign_refused),
            "refused_batches": sum(self.foreign_refused.values()),
            **known.stats(),
        }
