"""A fallback from sketches is told once for each change."""

from workers.router.fallback import FallbackWatch


def test_it_begins_with_reasons_and_ends_with_sketches() -> None:
    """An answer about no cell at all says nothing."""
    watch = FallbackWatch()
    watch.take(0, {})
    assert watch.sentence == ""
    watch.take(3, {"no_sketch": 2, "not_settled": 1})
    assert watch.sentence == (
        "new windows are answered from raw rows: more rows of the sketch may still come; no sketch of the window is stored"
    )
    before = watch.sentence
    watch.take(0, {"not_settled": 7, "no_sketch": 9})
    assert watch.sentence == before
    watch.take(0, {})
    assert watch.sentence == before
    watch.take(1, {})
    assert watch.sentence == ""


def test_a_reason_of_a_later_version_is_its_word() -> None:
    """It is better than none."""
    watch = FallbackWatch()
    watch.take(0, {"moon_phase": 1})
    assert watch.sentence == "new windows are answered from raw rows: moon_phase"
