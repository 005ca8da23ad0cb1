"""What a profile shows: the functions with most samples, the lines that hold most memory."""

from collections import Counter
from typing import Any

SHOWN = 12


def functions(stacks: Counter[str]) -> dict[str, dict[str, float]]:
    """Share of samples in a function itself, and with all that it calls: the highest of both."""
    own, within = Counter[str](), Counter[str]()
    for stack, count in stacks.items():
        names = [word.split(":")[0].rpartition("/")[2].removesuffix(".py") + "." + word.split(":")[2] for word in stack.split(";")]
        own[names[-1]] += count
        for name in set(names):
            within[name] += count
    samples = max(1, sum(stacks.values()))

    def shares(counted: Counter[str]) -> dict[str, float]:
        # What every stack has, the way into the loop, says nothing.
        telling = [(name, count) for name, count in counted.most_common() if count < samples]
        return {name: round(100 * count / samples, 1) for name, count in telling[:SHOWN]}

    return {"samples": {"all": samples}, "itself_percent": shares(own), "with_callees_percent": shares(within)}


def memory(profile: dict[str, Any]) -> dict[str, Any]:
    """KiB held now, most of all, and by line."""
    lines = {line: round(size / 1024) for line, size in list(profile["lines"].items())[:SHOWN]}
    return {"held_kib": profile["held_bytes"] // 1024, "most_kib": profile["most_bytes"] // 1024, "lines_kib": lines}
