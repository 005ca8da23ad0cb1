"""docs/runbook.md as sections with what they cover: read, and written again with tables that come from the code. PURE.

A section is `## <feature>` with prose, generated tables between marks, a table of symptoms and remedies, and a line of goals:

    <!-- features: worker writer, command rotate -->
    <!-- settings: writer.*, !writer.compaction -->     table: setting, accepted, default, what it is
    <!-- metrics: evergauge_writer_* -->                table: metric, what it is, normal; `normal` is written by hand and kept
    <!-- events: sealed, sealing -->                    table: event, what it means, what to do, normal
    <!-- end -->
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

GENERATED = ("settings", "metrics", "events")
HEADS = {
    "settings": ("setting", "accepted", "default", "what it is"),
    "metrics": ("metric", "what it is", "normal"),
    "events": ("event", "what it means", "what to do", "normal"),
}
REMEDIES = ("symptom", "cause", "remedy", "proven by")
END = "<!-- end -->"
# Stands where a person must still say what is normal.
UNSAID = "?"
_MARK = re.compile(r"<!-- (features|settings|metrics|events): (.*?) -->")
_CODE = re.compile(r"`([^`]+)`")
_GOALS = re.compile(r"^Goals: (.+)$")
_GOAL = re.compile(r"G-(?:10|[1-9])")


@dataclass(frozen=True, slots=True)
class CodeFacts:
    """What the program has: cells of each setting, metric and event behind its name, and the names of its features."""

    settings: dict[str, tuple[str, ...]]
    metrics: dict[str, tuple[str, ...]]
    events: dict[str, tuple[str, ...]]
    features: frozenset[str]

    def of(self, kind: str) -> dict[str, tuple[str, ...]]:
        """The cells by name of one kind of table."""
        found: dict[str, tuple[str, ...]] = getattr(self, kind)
        return found


@dataclass(frozen=True, slots=True)
class Remedy:
    """One line of symptoms: what proves it are names of tests (`file::name`) and `scenario NAME`."""

    section: str
    symptom: str
    cause: str
    remedy: str
    proofs: tuple[str, ...]


@dataclass(slots=True)
class RunbookSection:
    """One feature. `rows`: the cells behind each name, by kind of table; `patterns`: what the marks ask for."""

    title: str
    prose: str = ""
    features: tuple[str, ...] = ()
    patterns: dict[str, list[str]] = field(default_factory=dict)
    rows: dict[str, dict[str, tuple[str, ...]]] = field(default_factory=dict)
    remedies: list[Remedy] = field(default_factory=list)
    goals: tuple[str, ...] = ()
    says_goals: bool = False


def cells_of(line: str) -> list[str]:
    """The cells of a table's line; `\\|` is a letter of a cell."""
    return [cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line.strip().strip("|"))]


def table_line(cells: Iterable[str]) -> str:
    """A line of a table."""
    return "| " + " | ".join(" ".join(cell.split()).replace("|", "\\|") for cell in cells) + " |"


def chosen(patterns: Sequence[str], names: Iterable[str]) -> list[str]:
    """The names that a mark asks for; a pattern with `!` in front takes names away. In the order of the patterns."""
    denied = [pattern[1:] for pattern in patterns if pattern.startswith("!")]
    found: dict[str, None] = {}
    known = list(names)
    for pattern in patterns:
        if not pattern.startswith("!"):
            found |= dict.fromkeys(name for name in known if fnmatchcase(name, pattern))
    return [name for name in found if not any(fnmatchcase(name, pattern) for pattern in denied)]


def parse_runbook(text: str) -> list[RunbookSection]:
    """Its sections, in order. What is not as it should be is missing in them, and found by `problems_of`."""
    found: list[RunbookSection] = []
    kind, head = "", False
    for line in text.splitlines():
        if line.startswith("## "):
            found.append(RunbookSection(line[3:].strip()))
            kind = ""
        elif not found:
            continue
        elif mark := _MARK.match(line):
            names = [part.strip() for part in mark[2].split(",") if part.strip()]
            if mark[1] == "features":
                found[-1].features += tuple(names)
            else:
                kind, head = mark[1], True
                found[-1].patterns.setdefault(kind, []).extend(names)
        elif line == END:
            kind = ""
        elif line.startswith("|"):
            head = _take_row(found[-1], kind, cells_of(line), head)
            if not kind and tuple(cells_of(line)) == REMEDIES:
                kind, head = "remedies", True
        elif goals := _GOALS.match(line):
            found[-1].goals, found[-1].says_goals = tuple(_GOAL.findall(goals[1])), True
        else:
            kind = "" if kind == "remedies" else kind
            found[-1].prose += line + "\n"
    return found


def _take_row(section: RunbookSection, kind: str, cells: list[str], head: bool) -> bool:
    """Whether the next line still belongs to the head of a table."""
    if not kind:
        return False
    if set("".join(cells)) <= set("-: "):
        return False
    if head:
        return True
    if kind == "remedies":
        symptom, cause, remedy = (*cells, "", "", "")[:3] if len(cells) == len(REMEDIES) else (cells[0], "", "")
        section.remedies.append(Remedy(section.title, symptom, cause, remedy, tuple(_CODE.findall(cells[-1]))))
        return False
    section.rows.setdefault(kind, {})[cells[0].strip("`")] = tuple(cells[1:])
    return False


def problems_of(sections: Sequence[RunbookSection], facts: CodeFacts) -> list[str]:
    """A sentence for everything that is missing, stands twice, or is not as the code says."""
    problems: list[str] = []
    features = [name for section in sections for name in section.features]
    problems += [f"no section covers {name}" for name in sorted(facts.features - set(features))]
    problems += [f"section covers {name}, which the code does not have" for name in sorted(set(features) - facts.features)]
    for kind in GENERATED:
        problems += _problems_of_kind(kind, sections, facts.of(kind))
    for section in sections:
        problems += [f"section {section.title}: {problem}" for problem in _problems_of_form(section)]
    titles = [section.title for section in sections]
    return problems + [f"two sections are called {title}" for title in sorted({each for each in titles if titles.count(each) > 1})]


def _problems_of_kind(kind: str, sections: Sequence[RunbookSection], known: dict[str, tuple[str, ...]]) -> Iterator[str]:
    word = kind.removesuffix("s")
    places: dict[str, list[str]] = {}
    for section in sections:
        for name, cells in section.rows.get(kind, {}).items():
            places.setdefault(name, []).append(section.title)
            by_code = known.get(name)
            if by_code is not None and cells[: len(by_code)] != by_code:
                yield f"{word} {name} is not as the code says: scripts/runbook --write"
            if kind == "metrics" and (len(cells) < 2 or cells[-1] in ("", UNSAID)):
                yield f"{word} {name} says nothing of what is normal"
    for name in known:
        if name not in places:
            yield f"{word} {name} is in no section"
    for name, titles in places.items():
        if name not in known:
            yield f"{word} {name} is not in the code: scripts/runbook --write"
        elif len(titles) > 1:
            yield f"{word} {name} is in several sections: {', '.join(titles)}"


def _problems_of_form(section: RunbookSection) -> Iterator[str]:
    if len(section.prose.split()) < 8:
        yield "it does not say what it is"
    if not section.says_goals:
        yield "it has no line `Goals: …`"
    if not section.remedies:
        yield "it has no symptoms and remedies"
    for remedy in section.remedies:
        if not (remedy.symptom and remedy.cause and remedy.remedy):
            yield f"a line of symptoms has not four cells: {remedy.symptom[:60]}"
        elif not remedy.proofs:
            yield f"nothing proves the remedy of: {remedy.symptom[:60]}"


def rewritten(text: str, facts: CodeFacts) -> str:
    """The page with its tables as the code says; what is normal of a metric is kept."""
    normals = {
        name: cells[-1] for section in parse_runbook(text) for name, cells in section.rows.get("metrics", {}).items() if cells
    }
    lines: list[str] = []
    skips = False
    for line in text.splitlines():
        if skips and line != END:
            continue
        skips = False
        lines.append(line)
        if (mark := _MARK.match(line)) and mark[1] in GENERATED:
            names = chosen([part.strip() for part in mark[2].split(",") if part.strip()], facts.of(mark[1]))
            lines += ["", table_line(HEADS[mark[1]]), "|" + "---|" * len(HEADS[mark[1]])]
            for name in names:
                cells = facts.of(mark[1])[name]
                more = (normals.get(name, UNSAID),) if mark[1] == "metrics" else ()
                lines.append(table_line((f"`{name}`", *cells, *more)))
            lines.append("")
            skips = True
    return "\n".join(lines) + "\n"
