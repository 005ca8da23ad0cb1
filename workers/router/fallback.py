"""Whether new windows are answered from raw rows though their hosts have sketches, as a sentence that stays while it is so.
PURE."""

from collections.abc import Mapping

from agent.router.fact import ABOUT, Why


class FallbackWatch:
    """Follows what answers say of the newest windows. `sentence`: why sketches are not used; empty: they are."""

    def __init__(self) -> None:
        self.sentence = ""

    def take(self, sketch: int, reasons: Mapping[str, int]) -> None:
        """An answer has come: of the newest windows so many cells were read from sketches, and others were not, by reason.

        Once it is so, only windows with sketches end it: without any cell nothing is known. The sentence names the reasons and no
        numbers, so that it is told once for each change.
        """
        if reasons:
            self.sentence = f"new windows are answered from raw rows: {'; '.join(sorted(map(_about, reasons)))}"
        elif sketch:
            self.sentence = ""


def _about(word: str) -> str:
    """What a reason means; of a later version's its word."""
    return ABOUT[Why(word)] if word in [each.value for each in Why] else word
