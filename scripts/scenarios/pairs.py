"""All pairs: the fewest combinations that a greedy choice finds in which each two values of different factors meet once. PURE."""

from collections.abc import Callable, Mapping, Sequence
from itertools import combinations

Row = dict[str, str]
Pair = frozenset[tuple[str, str]]
Allowed = Callable[[Mapping[str, str]], bool]


def pairs_of(row: Mapping[str, str]) -> set[Pair]:
    """Every two values that meet in a row."""
    return {frozenset(two) for two in combinations(row.items(), 2)}


def wanted_pairs(factors: Mapping[str, Sequence[str]], allowed: Allowed = lambda _row: True) -> set[Pair]:
    """Every two values that must meet: those that may."""
    found = set()
    for (first, ones), (second, others) in combinations(factors.items(), 2):
        found |= {frozenset({(first, a), (second, b)}) for a in ones for b in others if allowed({first: a, second: b})}
    return found


def all_pairs(factors: Mapping[str, Sequence[str]], allowed: Allowed = lambda _row: True) -> list[Row]:
    """Rows that have a value of each factor. `allowed` is asked of rows, also of those that lack factors.

    *Shape:* the same factors always give the same rows. A pair that no allowed row can have is left out.
    """
    left, rows = wanted_pairs(factors, allowed), []
    order = {(name, value): number for name, values in factors.items() for number, value in enumerate(values)}
    while left:
        seed = min(left, key=lambda pair: sorted((name, order[name, value]) for name, value in pair))
        row = _completed(dict(seed), factors, left, allowed)
        left.discard(seed)
        if row is not None:
            left -= pairs_of(row)
            rows.append({name: row[name] for name in factors})
    return rows


def each_once(factors: Mapping[str, Sequence[str]], allowed: Allowed = lambda _row: True) -> list[Row]:
    """Rows in which each value stands at least once: the quick look."""
    left = {(name, value) for name, values in factors.items() for value in values}
    rows = []
    while left:
        name, value = min(left, key=lambda each: (-len(factors[each[0]]), each[0], factors[each[0]].index(each[1])))
        row: Row | None = {name: value}
        for other, values in factors.items():
            assert row is not None
            if other not in row:
                usable = [each for each in values if allowed({**row, other: each})]
                fresh = [each for each in usable if (other, each) in left]
                if not usable:
                    row = None
                    break
                row[other] = (fresh or usable)[0]
        left.discard((name, value))
        if row is not None:
            left -= set(row.items())
            rows.append({factor: row[factor] for factor in factors})
    return rows


def _completed(row: Row, factors: Mapping[str, Sequence[str]], left: set[Pair], allowed: Allowed) -> Row | None:
    """The row with the values that cover most of what is left; None where no value is allowed."""
    for name, values in factors.items():
        if name in row:
            continue
        usable = [value for value in values if allowed({**row, name: value})]
        if not usable:
            return None
        row[name] = max(usable, key=lambda value: len(pairs_of({**row, name: value}) & left))
    return row
