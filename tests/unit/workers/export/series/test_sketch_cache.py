"""What is made of a sketch is made once."""

from agent.model.sketch import Sketch, SketchColumns
from workers.export.series.sketch_cache import SketchCache


def test_each_sketch_is_made_once_and_forgotten_when_it_is_no_longer_shown() -> None:
    """By identity: two equal sketches are two."""
    made: list[SketchColumns] = []

    def make(sketch: SketchColumns) -> int:
        made.append(sketch)
        return len(made)

    first, second = (Sketch().to_columns() for _ in range(2))
    cache = SketchCache(make)
    assert [cache.get(first), cache.get(second), cache.get(first)] == [1, 2, 1]
    cache.sweep()
    assert [cache.get(second), len(cache)] == [2, 2]
    cache.sweep()
    assert [len(cache), cache.get(first)] == [1, 3]
