"""Which records a reader of the spool looks at, by the words in their frames. PURE."""

from collections.abc import Iterable


class AllBut:
    """Every word but some, for `in`: tables of other hosts are not known before their records are read."""

    def __init__(self, without: Iterable[int]) -> None:
        self._without = frozenset(without)

    def __contains__(self, word: object) -> bool:
        return word not in self._without
