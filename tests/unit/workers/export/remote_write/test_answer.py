"""What the answers of receivers mean."""

import pytest

from workers.export.remote_write.answer import WriteOutcome, is_retried, outcome_of, reason_in

WRITTEN = "x-prometheus-remote-write-samples-written"
HISTOGRAMS = "x-prometheus-remote-write-histograms-written"
IN_1 = WriteOutcome(speaks_2=False)


@pytest.mark.parametrize(
    ("status", "headers", "outcome"),
    [
        (204, {WRITTEN: "10", HISTOGRAMS: "2"}, WriteOutcome()),
        (204, {WRITTEN: "9", HISTOGRAMS: "1"}, WriteOutcome(2, "not_written")),
        (204, {}, IN_1),
        (200, {WRITTEN: "x"}, WriteOutcome(12, "not_written")),
        (415, {}, IN_1),
        (400, {WRITTEN: "5", HISTOGRAMS: "0"}, WriteOutcome(7, "too_old")),
        (400, {}, WriteOutcome(12, "too_old")),
        (400, {WRITTEN: "99"}, WriteOutcome(0, "too_old")),
        (404, {}, None),
        (500, {}, None),
    ],
)
def test_version_2_says_what_was_written(status: int, headers: dict[str, str], outcome: WriteOutcome | None) -> None:
    """A success without a word about it was none."""
    assert outcome_of(status, headers, 12, "out of order sample", is_version_2=True) == outcome


@pytest.mark.parametrize(
    ("status", "headers", "outcome"),
    [
        (204, {}, WriteOutcome()),
        (200, {WRITTEN: "12"}, WriteOutcome()),
        (400, {}, WriteOutcome(12, "http_400")),
        (415, {}, None),
    ],
)
def test_version_1_says_yes_or_no(status: int, headers: dict[str, str], outcome: WriteOutcome | None) -> None:
    """Receivers of 2.0 say more in 1.0 too."""
    assert outcome_of(status, headers, 12, "no", is_version_2=False) == outcome


def test_reasons_are_words_for_counters() -> None:
    """Of what Prometheus, Mimir and others say."""
    assert reason_in("Out of order sample from remote write") == "too_old"
    assert reason_in("out of bounds") == "too_old"
    assert reason_in("too old sample: timestamp too far in the past") == "too_old"
    assert reason_in("duplicate sample for timestamp") == "duplicate"
    assert reason_in("label name is invalid") == "http_400"


def test_what_is_tried_again() -> None:
    """429 and every failure of the server's."""
    assert [status for status in (200, 400, 404, 429, 500, 503, 599) if is_retried(status)] == [429, 500, 503, 599]
