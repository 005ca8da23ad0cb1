"""The command compact: one compaction of a fleet's store in the foreground, without an agent."""

from agent.cli.call import Call
from agent.cli.lake_config import LAKE_OPTIONS, lake_config, open_bucket
from agent.cli.option import SWITCH, Command, Option
from agent.cli.progress import Progress
from agent.cli.render import TextColumn, bytes_of, counted
from agent.model.errors import BusyError, ExitCode, MisuseError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from workers.compactor.plan import LakeJob
    from workers.compactor.report import LakeReport
    from workers.compactor.round import CompactorRound
    from workers.compactor.round_terms import RoundView

COLUMNS = (
    TextColumn("TABLE"),
    TextColumn("DATE"),
    TextColumn("FILES", right=True),
    TextColumn("OF NODES", right=True),
    TextColumn("BYTES", right=True),
)


def compact(call: Call) -> int:
    """`agentctl compact`. *Raises:* EvergaugeError."""
    import tempfile

    scratch = call.text("--scratch")
    with tempfile.TemporaryDirectory(prefix="evergauge-compact-", dir=scratch) as folder:
        if call.has("--dry-run"):
            return _show_plan(call, _round(call, folder, None).plan())
        from agent.cli.progress import progress_for

        progress = progress_for(call.warnings, None, call.environment.get("TERM"), "rows")
        try:
            report = _round(call, folder, progress).run()
        finally:
            progress.end()
    return _show(call, report)


def _round(call: Call, folder: str, progress: "Progress | None") -> "CompactorRound":
    """*Raises:* MisuseError, ConfigError."""
    import os

    from agent.lake.log import LogPorts
    from agent.lake.path import is_table
    from agent.lake_setting import COMPACTOR_SETTINGS
    from workers.compactor.order import order_of, round_terms
    from workers.compactor.round import CompactorRound

    config = lake_config(call, COMPACTOR_SETTINGS)
    holder = f"agentctl compact of {os.uname().nodename}"
    tables = tuple(call.texts("--table"))
    for table in tables:
        if not is_table(table):
            raise MisuseError("--table", f"{table!a} is no name of a table", "write it as `agentctl lake status` does")
    terms = round_terms(order_of(config, holder, {}), folder, tables=tables, is_at_once=True)
    view = _view(progress)
    return CompactorRound(open_bucket(call, config), holder, terms, view, LogPorts())


def _view(progress: "Progress | None") -> "RoundView":
    from workers.compactor.round_terms import RoundView

    class Drawn(RoundView):
        """Draws the rows merged so far."""

        def __init__(self) -> None:
            self._of_job = 0

        def job_begins(self, job: "LakeJob") -> None:
            self._of_job = 0

        def job_goes_on(self, job: "LakeJob", rows: int) -> None:
            if progress is not None:
                progress.add(rows - self._of_job)
            self._of_job = rows

    return Drawn()


def _show_plan(call: Call, jobs: "list[LakeJob]") -> int:
    if call.wants_json:
        call.show_json(
            {
                "jobs": [
                    {"table": job.table, "date": job.date, "bytes": job.bytes, "files": [source.path for source in job.sources]}
                    for job in jobs
                ]
            }
        )
        return ExitCode.DONE
    if not jobs:
        call.show(["nothing is to be compacted"])
        return ExitCode.DONE
    call.show_table(COLUMNS, _plan_rows(jobs))
    return ExitCode.DONE


def _plan_rows(jobs: "list[LakeJob]") -> "Iterator[tuple[str, ...]]":
    for job in jobs:
        landed = sum(source.is_landing for source in job.sources)
        yield job.table, job.date, str(len(job.sources)), str(landed), bytes_of(job.bytes)


def _show(call: Call, report: "LakeReport") -> int:
    if report.holder:
        raise BusyError("compaction", f"{report.holder} is at it", "wait two minutes, or stop it")
    if call.wants_json:
        import msgspec

        call.show_json(msgspec.to_builtins(report))
    else:
        call.show([sentence_of(report)])
    for file in report.passed:
        call.warn(f"{file.path} is left as it is: {file.reason}")
    if report.passed_more:
        call.warn(f"{report.passed_more} more files are left as they are")
    if report.problem:
        call.warn(f"what counts no more was not all deleted: {report.problem}")
    return ExitCode.BAD_DATA if any(file.is_damaged for file in report.passed) else ExitCode.DONE


def sentence_of(report: "LakeReport") -> str:
    """What a round did."""
    if report.jobs:
        done = (
            f"{counted(report.sources, 'file')} of {bytes_of(report.bytes_before)} became {report.files} of "
            f"{bytes_of(report.bytes_after)}, with {report.rows:,} rows"
        )
    else:
        done = "nothing was to be compacted"
    cleaned = [f"{counted(report.deleted, 'file')} deleted"] if report.deleted else []
    cleaned += [f"{report.returned} that landed twice deleted"] if report.returned else []
    cleaned += [f"{report.waiting} wait for the end of lake.grace"] if report.waiting else []
    cleaned += [f"{counted(report.pruned, 'file')} of the log pruned"] if report.pruned else []
    return "; ".join([done, *cleaned])


COMMANDS = (
    Command(
        "compact",
        compact,
        about="make few large files of the many small ones in a fleet's store, once and in the foreground",
        details="""\
It is what the worker `compactor` of an agent does in each compactor.interval. One compactor works at a time; another waits two
minutes for one that was killed. Readers see each row once at every moment, and whatever ends this command loses none.
Files that cannot be used (damaged, or of another program) stay where they are and are named. Files that count no more are deleted
lake.grace after that. Without --table it also removes what killed programs have left.""",
        options=(
            *LAKE_OPTIONS,
            Option("--table", "TABLE", "only this table; may be given again", many=True),
            Option("--dry-run", "", "only print what would be compacted", kind=SWITCH),
            Option("--scratch", "DIR", "folder for a gigabyte that is needed meanwhile (else that of TMPDIR)"),
        ),
        examples=(
            "agentctl compact --lake file:///srv/lake",
            "agentctl compact --lake s3://fleet/lake --table process --dry-run",
        ),
    ),
)
