"""What a look at the cgroup tree did not show, as sentences for people."""

from agent.model.errors import EvergaugeError
from agent.model.foreign import readable
from workers.control_plane.cgroups import DEPTH_MAX, DIRECTORIES_MAX, CgroupScan

# The largest number of places with left out groups that are named.
_PARENTS_SHOWN = 3


def sentence_of_failure(problem: OSError | EvergaugeError) -> str:
    """Why the tree could not be looked at."""
    if isinstance(problem, EvergaugeError):
        return problem.sentence
    where = readable(str(problem.filename or "cgroup root"))
    return f"{problem.strerror or problem} ({where}); mount it, or set kernel.cgroup_root"


def unreadable_sentence(unreadable: tuple[str, ...]) -> str:
    """Which directories could not be listed; empty: all could."""
    if not unreadable:
        return ""
    return f"{len(unreadable)} cgroups cannot be listed, first {readable(unreadable[0])}; units below them are kept as last seen"


def truncated_sentence(look: CgroupScan, left_out: int) -> str:
    """What was left out because there is too much; empty: nothing."""
    parts = []
    if left_out:
        parts.append(
            f"there are more units than can be held, {_about(left_out)} are left out: pods come first, "
            "then containers, services, scopes and slices, and neighbours take turns"
        )
    if look.left_out:
        worst = sorted(look.left_out.items(), key=lambda item: (-item[1], item[0]))[:_PARENTS_SHOWN]
        named = ", ".join(f"{_about(count)} in {readable(path or '/')}" for path, count in worst)
        rest = "" if len(look.left_out) <= len(worst) else f" and some in {_about(len(look.left_out) - len(worst))} others"
        parts.append(
            f"the cgroup tree has more than {DIRECTORIES_MAX} directories; pods come first, left out are {named}{rest}: "
            "remove groups that nobody uses there"
        )
    if look.too_deep:
        parts.append(f"the cgroup tree has more than {DEPTH_MAX} levels; the deepest are left out")
    return "; ".join(parts)


def _about(count: int) -> str:
    """A count by its first digit, so that a sentence stays the same while groups come and go."""
    unit = 10 ** (len(str(count)) - 1)
    return str(count) if count < 10 else f"{count // unit * unit} or more"
