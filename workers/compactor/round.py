"""One round of a compactor: takes the lease, compacts what is to be compacted, cleans up, and says what it did."""

import os
import shutil
from collections.abc import Callable, Sequence
from contextlib import suppress

from agent.lake.bucket import Bucket, BucketFailure
from agent.lake.lake_state import LakeState
from agent.lake.log import LakeLog, LogPorts
from agent.lake.path import LandingPath, is_table, parse_landing_path, table_prefix
from agent.lake.snapshot import LANDING_MAX, LedgerCache
from agent.model.errors import EvergaugeError
from workers.compactor.attempts import ATTEMPTS_FILE, CompactionAttempts
from workers.compactor.cleaning import CleaningPlace, clean
from workers.compactor.job import JobPlace, run_job
from workers.compactor.lease import CompactorLease
from workers.compactor.plan import LakeDay, LakeJob, PlanTerms, days_of, next_job
from workers.compactor.report import LakeReport
from workers.compactor.round_terms import JobResult, RoundTerms, RoundView

JOBS_MAX = 10_000
# Of jobs in a row whose sources others were taking.
_LOST_MAX = 20
Landing = tuple[str, LandingPath, int, int]
RunJob = Callable[[LakeJob, str, JobPlace], JobResult]


class CompactorRound:
    """One round over one lake. *Raises:* BucketFailure, FormatError, OSError, from `run` and `plan`."""

    def __init__(
        self, bucket: Bucket, holder: str, terms: RoundTerms, view: RoundView, ports: LogPorts, run: RunJob = run_job
    ) -> None:
        self._bucket = bucket
        self._run_it = run
        self._terms = terms
        self._view = view
        self._ports = ports
        self._log = LakeLog(bucket, holder, ports)
        self._ledgers = LedgerCache(bucket)
        self._lease = CompactorLease(bucket, holder, ports)
        self._passed = dict(terms.passed)

    def run(self) -> LakeReport:
        """Compact until nothing is left to do."""
        report = LakeReport()
        if not self._lease.take():
            report.holder = self._lease.other
            return report
        try:
            self._compact(report)
        finally:
            # Without it the lease ends by itself.
            with suppress(BucketFailure):
                self._lease.give_back()
        return report

    def plan(self) -> list[LakeJob]:
        """What a round would compact, of what is there now."""
        landing = self._list()
        state = self._log.state()
        terms = self._plan_terms()
        days = {day.key: day for day in self._days(landing, state, terms)}
        jobs: list[LakeJob] = []
        while (job := next_job(list(days.values()), terms)) is not None and len(jobs) < JOBS_MAX:
            jobs.append(job)
            taken = {source.path for source in job.sources}
            key = f"{job.table}/{job.date}"
            left = tuple(file for file in days[key].files if file.path not in taken)
            days[key] = LakeDay(job.table, job.date, left)
            if not left:
                del days[key]
        return jobs

    def _compact(self, report: LakeReport) -> None:
        os.makedirs(self._terms.scratch, mode=0o700, exist_ok=True)
        attempts = CompactionAttempts(os.path.join(self._terms.scratch, ATTEMPTS_FILE))
        work = os.path.join(self._terms.scratch, "job")
        shutil.rmtree(work, ignore_errors=True)
        landing = self._list()
        landing = self._run_jobs(landing, attempts, work, report, last=False)
        if self._view.goes_on() and not self._terms.tables:
            self._clean(landing, report)
        if attempts.failed():
            self._run_jobs(landing, attempts, work, report, last=True)

    def _run_jobs(
        self, landing: list[Landing], attempts: CompactionAttempts, work: str, report: LakeReport, *, last: bool
    ) -> list[Landing]:
        """Those of days that have not ended a compactor again and again, or of these alone; what was listed then."""
        lost = 0
        for _ in range(JOBS_MAX):
            if not self._view.goes_on() or not self._lease.renew() or lost >= _LOST_MAX:
                break
            state = self._log.state()
            terms = self._plan_terms()
            days = [day for day in self._days(landing, state, terms) if attempts.has_failed(day.key) is last]
            job = next_job(days, terms)
            if job is None:
                break
            result = self._run_job(job, state, attempts, work)
            self._add(report, result)
            lost = 0 if result.number is not None or result.passed else lost + 1
            if lost:
                landing = self._list()
        return landing

    def _run_job(self, job: LakeJob, state: LakeState, attempts: CompactionAttempts, work: str) -> JobResult:
        key = f"{job.table}/{job.date}"
        ledger = state.ledgers.get(key, "")
        attempts.begin(key)
        self._view.job_begins(job)

        def goes_on(rows: int) -> None:
            self._lease.renew()
            self._view.job_goes_on(job, rows)

        place = JobPlace(self._bucket, self._log, work, self._terms.memory_bytes, self._terms.requests, goes_on)
        try:
            result = self._run_it(job, ledger, place)
        finally:
            attempts.end(key)
        self._view.job_ends(job, result)
        return result

    def _add(self, report: LakeReport, result: JobResult) -> None:
        for file in result.passed:
            self._passed[file.path] = file.bytes
            report.add_passed(file)
        if result.number is not None:
            report.jobs += 1
            report.sources += result.sources
            report.files += result.files
            report.rows += result.rows
            report.bytes_before += result.bytes_before
            report.bytes_after += result.bytes_after

    def _clean(self, landing: Sequence[Landing], report: LakeReport) -> None:
        place = CleaningPlace(
            self._bucket,
            self._log,
            self._ledgers,
            self._terms.grace_ns,
            self._ports.wall_ns(),
            self._lease.now_ns(),
            self._terms.requests,
            lambda: self._lease.renew() and self._view.goes_on(),
        )
        try:
            clean(place, ((path, where) for path, where, _, _ in landing), report)
        except EvergaugeError as failure:
            # What was compacted is done, and the next round cleans up.
            report.problem = failure.sentence

    # ---- what there is ----

    def _list(self) -> list[Landing]:
        """All landing files, of known and unknown tables, before the log is looked at."""
        found: list[Landing] = []
        for table in self._bucket.folders(""):
            if not is_table(table) or (self._terms.tables and table not in self._terms.tables):
                continue
            for page in self._bucket.pages(table_prefix(table)):
                for head in page:
                    if (where := parse_landing_path(head.name)) is not None:
                        found.append((head.name, where, head.bytes, head.changed_ns))
                # What is beyond comes when these are gone.
                if len(found) >= LANDING_MAX:
                    return found
        return found

    def _days(self, landing: Sequence[Landing], state: LakeState, terms: PlanTerms) -> list[LakeDay]:
        new = [each for each in landing if each[0] not in state.consumed]
        ledgers = {day: self._ledgers.of_day(state, day) for day in {f"{where.table}/{where.date}" for _, where, _, _ in new}}
        left = [each for each in new if each[0] not in ledgers[f"{each[1].table}/{each[1].date}"]]
        wanted = self._terms.tables
        merged = [file for file in state.files.values() if not wanted or file.table in wanted]
        return days_of(left, merged, terms, self._passed)

    def _plan_terms(self) -> PlanTerms:
        return PlanTerms(self._terms.file_bytes, self._terms.file_bytes_min, self._ports.wall_ns(), self._terms.quiet_ns)
