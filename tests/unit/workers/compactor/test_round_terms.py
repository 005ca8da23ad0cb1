"""What a round reports, where nobody listens."""

from workers.compactor.plan import LakeJob
from workers.compactor.round_terms import JobResult, RoundView


def test_a_view_that_nobody_looks_at_lets_the_round_go_on() -> None:
    """And tells nothing."""
    view, job = RoundView(), LakeJob("process", "2024-01-31", ())
    view.job_begins(job)
    view.job_goes_on(job, 3)
    view.job_ends(job, JobResult(None))
    assert view.goes_on()
