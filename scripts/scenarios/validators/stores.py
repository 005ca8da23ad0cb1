"""Do topics and stores have what is stored here, each row once, and sketches that are those of the raw rows, bit for bit? PURE."""

from collections.abc import Iterator, Sequence

from scenarios.definition import ValidatorChoice
from scenarios.evidence import Evidence
from scenarios.judgement import Judgement, above, below, missing
from scenarios.store_evidence import RowAccount


def judge_same_rows(choice: ValidatorChoice, evidence: Evidence) -> Iterator[Judgement]:
    """Every column of every row, by place: none is missing, doubled or another one."""
    accounts = evidence.stores.accounts
    for where in dict.fromkeys(each.where for each in accounts):
        yield from _judge_place(choice, where, [each for each in accounts if each.where == where])
    if not accounts:
        yield missing(choice.name, choice.goal, "rows there and here", "nothing was compared")


def _judge_place(choice: ValidatorChoice, where: str, accounts: Sequence[RowAccount]) -> Iterator[Judgement]:
    seen = f"rows compared: {', '.join(f'{each.table} {each.stored}' for each in accounts)}"
    if least := [each.table for each in accounts if not each.stored and each.table in ("process", "process_sketch")]:
        yield missing(choice.name, choice.goal, f"rows at {where}", f"nothing is stored here of {', '.join(least)}")
        return
    for word in ("missing", "doubled", "strange"):
        counts = {each.table: int(getattr(each, word)) for each in accounts}
        bad = ", ".join(f"{table} {count}" for table, count in counts.items() if count)
        yield below(choice.name, choice.goal, f"rows {word} at {where}", sum(counts.values()), 0.0, bad or seen, "")


def judge_rebinned(choice: ValidatorChoice, evidence: Evidence) -> Iterator[Judgement]:
    """The buckets of a window are those of its raw rows: all above the largest value that only a sum has; count and sum of all."""
    windows = evidence.stores.windows
    for where in dict.fromkeys(each.where for each in windows):
        found = [each for each in windows if each.where == where]
        compared, values = sum(each.compared for each in found), sum(each.values for each in found)
        starts = len({each.window_start_ns for each in found})
        seen = f"{starts} windows, {values} values, of which {compared} are compared bucket by bucket"
        unsure = sum(each.unsure for each in found)
        off = {
            "values in other buckets": sum(each.buckets_off for each in found),
            "values more or fewer": sum(max(0, each.count_off - each.unsure) for each in found),
            "sums off": sum(each.sum_off for each in found),
            "ticks more or fewer": sum(abs(each.ticks - each.raw_ticks) for each in found),
        }
        for what, figure in off.items():
            told = f"{seen}; {unsure} processes whose value was not known yet" if unsure else seen
            yield below(choice.name, choice.goal, f"{what}, {where}", figure, 0.0, told, "")
        least = float(choice.limits["values_least"])
        yield above(choice.name, choice.goal, f"values compared, {where}", compared, least, seen)
    if not windows:
        yield missing(choice.name, choice.goal, "sketches and raw rows", "there is no window with sketches")


def judge_wire_cost(choice: ValidatorChoice, evidence: Evidence) -> Iterator[Judgement]:
    """Bytes per process and second at each place, and how many times fewer than at the first; judged where there is a limit."""
    costs = evidence.stores.costs
    if not costs:
        yield missing(choice.name, choice.goal, "bytes per process-second", "nothing was weighed")
        return
    first = costs[0]
    for each in costs:
        figure = each.per_process_second
        seen = f"{each.bytes} bytes for {each.process_seconds:.0f} process-seconds"
        if each is not first and figure:
            seen += f"; compression ratio {first.per_process_second / figure:.2f} against {first.where}"
        what, limit = f"bytes per process-second, {each.where}", float(choice.limits.get(each.where, 0.0))
        if limit:
            yield below(choice.name, choice.goal, what, figure, limit, seen, "bytes")
        else:
            yield Judgement(choice.name, choice.goal, what, figure != float("inf"), f"{figure:.2f}: {seen}")


def judge_marks(choice: ValidatorChoice, evidence: Evidence) -> Iterator[Judgement]:
    """No commit says to have rows that are in none up to it; and each says with its rows where it is in the topics."""
    moments, commits = evidence.stores.marks, evidence.stores.commits
    if not moments or commits is None or not commits.with_rows:
        yield missing(choice.name, choice.goal, "marks of commits", "no commit has any")
        return
    short = [each for each in moments if each.there < each.stored]
    more = f"; commit {short[0].number} lacks {short[0].stored - short[0].there} rows of {short[0].table}" if short else ""
    numbers, rows = len({each.number for each in moments}), max(each.stored for each in moments)
    seen = f"{len(moments)} marks in {numbers} commits, up to {rows} rows before one{more}"
    yield below(choice.name, choice.goal, "marks ahead of their rows", len(short), 0.0, seen, "")
    told = f"{commits.with_rows} commits add rows"
    yield below(choice.name, choice.goal, "commits of rows without offsets", commits.without_offsets, 0.0, told, "")
    yield above(choice.name, choice.goal, "commits with marks", numbers, float(choice.limits["commits_least"]), seen)


def judge_cursor(choice: ValidatorChoice, evidence: Evidence) -> Iterator[Judgement]:
    """Mark and rows are of the same transactions, so both count the same."""
    for each in evidence.stores.cursors:
        seen = f"{each.rows} rows by the mark, {each.rows_there} in the topics, {each.rows_aborted} in transactions without an end"
        off = abs(each.rows - each.rows_there)
        yield below(choice.name, choice.goal, f"rows that mark and topics of {each.where} differ by", off, 0.0, seen, "")
        least = float(choice.limits["transactions_least"])
        yield above(choice.name, choice.goal, f"transactions of {each.where}", each.transactions, least, seen)
    if not evidence.stores.cursors:
        yield missing(choice.name, choice.goal, "mark in the topics", "there is none")
