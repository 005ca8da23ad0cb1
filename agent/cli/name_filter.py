"""The words of a filter of `agentctl top`, and what they are looked for in. PURE.

A word is looked for in everything that a line shows. `namespace:`, `pod:` and `container:` look for the rest of the word in
this name alone, `kind:` for the beginning of the kind of a unit; `label:K=V` is for pods whose label K is V, `label:K` for those
that have one.
"""

from collections.abc import Mapping, Sequence

from msgspec import Struct

from agent.cli.pod_name import namespace_of

FIELDS = ("namespace", "pod", "container", "kind", "label")


class FilterTarget(Struct, frozen=True):
    """What a line is about. `words` are searched by words without a field, `pid` is compared with them.

    `pod` is its displayed name, empty where it belongs to none.
    """

    words: Sequence[str] = ()
    pid: str = ""
    pod: str = ""
    containers: Sequence[str] = ()
    labels: Mapping[str, str] = {}
    kind: str = ""


class NameFilter:
    """Words that must all hold, in letters of either case."""

    def __init__(self, text: str) -> None:
        self._plain: list[str] = []
        self._fields: list[tuple[str, str]] = []
        for word in text.casefold().split():
            field, colon, rest = word.partition(":")
            if colon and field in FIELDS:
                # While the rest is still to be typed, everything is kept.
                self._fields += [(field, rest)] if rest else []
            else:
                self._plain.append(word)

    def __bool__(self) -> bool:
        """Whether it leaves anything out."""
        return bool(self._plain or self._fields)

    def keeps(self, target: FilterTarget) -> bool:
        """Whether all words hold."""
        if self._plain:
            told = "\n".join([*target.words, target.pod, *target.containers]).casefold()
            if not all(word == target.pid or word in told for word in self._plain):
                return False
        return all(_holds(field, text, target) for field, text in self._fields)


def _holds(field: str, text: str, target: FilterTarget) -> bool:
    match field:
        case "namespace":
            return text in namespace_of(target.pod).casefold()
        case "pod":
            return text in target.pod.casefold()
        case "kind":
            return target.kind.casefold().startswith(text)
        case "container":
            return any(text in name.casefold() for name in target.containers)
    key, equals, value = text.partition("=")
    return any(name.casefold() == key and (not equals or held.casefold() == value) for name, held in target.labels.items())
