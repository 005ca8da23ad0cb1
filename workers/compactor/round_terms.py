"""How a round of the compactor works, and what it reports. PURE."""

from msgspec import Struct

from workers.compactor.plan import QUIET_NS, LakeJob
from workers.compactor.report import PassedFile


class RoundTerms(Struct, frozen=True):
    """`scratch`: a folder of this host, for this compactor alone. `tables`: only these; empty: all. `passed`: files that could not
    be used before, by path with their bytes. `requests`: how many are under way at once."""

    scratch: str
    file_bytes: int
    file_bytes_min: int
    memory_bytes: int
    grace_ns: int
    quiet_ns: int = QUIET_NS
    tables: tuple[str, ...] = ()
    passed: dict[str, int] = {}
    requests: int = 8


class JobResult(Struct, frozen=True):
    """What became of a job. `number`: the entry of its commit; None: others had taken a source, or no source could be used."""

    number: int | None
    sources: int = 0
    files: int = 0
    rows: int = 0
    bytes_before: int = 0
    bytes_after: int = 0
    passed: tuple[PassedFile, ...] = ()


class RoundView:
    """What a round reports while it goes on; this one reports nothing."""

    def goes_on(self) -> bool:
        """Whether more is to be done; False: stop after this step."""
        return True

    def job_begins(self, job: LakeJob) -> None:
        """Before its first source is copied."""

    def job_goes_on(self, job: LakeJob, rows: int) -> None:
        """Now and then, with the rows merged so far."""

    def job_ends(self, job: LakeJob, result: JobResult) -> None:
        """With what became of it."""
