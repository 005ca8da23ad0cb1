"""Who is silent: the order of verdicts, grace after a start or a stall, and suspicion."""

from random import Random

from agent.model.timebase import MS, S
from workers.hub.silence import MASS_NODES_MIN, MASS_WINDOW_NS, Silence

BEAT, STALE = 1 * S, 90 * S


def listening(now_ns: int = 0) -> Silence:
    """One whose grace has ended at 90 s, turned each second."""
    silence = Silence(BEAT, STALE, now_ns)
    for second in range(1, 91):
        assert silence.on_turn(now_ns + second * S) is None
    assert not silence.is_in_grace
    return silence


def test_nobody_is_judged_in_grace() -> None:
    """For as long as a node may be silent after the beginning."""
    silence = Silence(BEAT, STALE, 0)
    silence.on_beat("a", 0)
    silence.expect("b")
    for second in range(1, 90):
        silence.on_turn(second * S)
        assert silence.is_in_grace
        assert silence.verdicts() == ([], [])
        assert silence.next_deadline_ns(second * S) <= 90 * S
    silence.on_turn(90 * S)
    assert silence.verdicts() == (["a"], ["b", "a"])


def test_verdicts_come_at_their_time() -> None:
    """Late is more than three beats, stale the whole time; each is given once."""
    silence = listening()
    silence.on_beat("a", 90 * S)
    for now_ns, late in ((92 * S, 0), (93 * S, 0), (93 * S + 1, 1), (94 * S, 0)):
        silence.on_turn(now_ns)
        assert silence.verdicts() == (["a"] * late, [])
    for second in range(95, 180):
        silence.on_turn(second * S)
        assert silence.verdicts() == ([], [])
    assert silence.next_deadline_ns(179 * S + 500 * MS) == 180 * S
    silence.on_turn(180 * S)
    assert silence.verdicts() == ([], ["a"])
    silence.on_turn(181 * S)
    assert silence.verdicts() == ([], [])


def test_who_is_heard_is_alive_and_judged_from_then_on() -> None:
    """Also one that was late."""
    silence = listening()
    assert not silence.is_alive("a", 90 * S)
    silence.on_beat("a", 90 * S)
    assert silence.is_alive("a", 93 * S)
    assert not silence.is_alive("a", 93 * S + 1)
    silence.on_turn(92 * S)
    silence.on_turn(94 * S)
    assert silence.verdicts() == (["a"], [])
    silence.on_beat("a", 94 * S)
    silence.on_turn(95 * S)
    assert silence.verdicts() == ([], [])
    silence.forget("a")
    assert not silence.is_alive("a", 95 * S)
    for second in (96, 98, 100):
        silence.on_turn(second * S)
        assert silence.verdicts() == ([], [])


def test_a_turn_that_comes_too_late_is_a_stall() -> None:
    """More than a beat and a second: then grace begins again."""
    silence = listening()
    silence.on_beat("a", 90 * S)
    assert silence.on_turn(92 * S) is None
    assert silence.on_turn(94 * S + 1) == (2 * S + 1 - 1 * S) / S
    assert silence.is_in_grace
    assert silence.verdicts() == ([], [])
    assert silence.next_deadline_ns(94 * S + 1) == 95 * S + 1


def test_many_at_once_are_a_reason_to_doubt_the_hub() -> None:
    """More than 30 % within ten seconds, and four at least; it passes when they are back or long gone."""
    silence = listening()
    names = [f"n{number}" for number in range(10)]
    for name in names:
        silence.on_beat(name, 90 * S)
    for second in range(91, 181):
        for name in names[MASS_NODES_MIN:]:
            silence.on_beat(name, second * S)
        silence.on_turn(second * S)
        _, stale = silence.verdicts()
    assert sorted(stale) == names[:MASS_NODES_MIN]
    assert "4 of 10 nodes became silent at once" in silence.suspicion
    for second in range(181, 181 + MASS_WINDOW_NS // S):
        for name in names[MASS_NODES_MIN:]:
            silence.on_beat(name, second * S)
        silence.on_turn(second * S)
        silence.verdicts()
    assert silence.suspicion == ""


def test_few_nodes_are_no_reason() -> None:
    """All three of three: a switch was turned off."""
    silence = listening()
    for name in ("a", "b", "c"):
        silence.on_beat(name, 90 * S)
    for second in range(91, 181):
        silence.on_turn(second * S)
        silence.verdicts()
    assert silence.suspicion == ""


def test_a_doubt_stays_while_it_is_not_sure() -> None:
    """Half of them back is more than those that are silent, but not twice as many."""
    silence = listening()
    for name in "abcdefgh":
        silence.on_beat(name, 90 * S)
    for second in range(91, 181):
        silence.on_turn(second * S)
        silence.verdicts()
    assert silence.suspicion
    for name in "abcdefgh":
        silence.on_beat(name, 180 * S)
    silence.on_turn(181 * S)
    silence.verdicts()
    assert silence.suspicion
    for number in range(20):
        silence.on_beat(str(number), 181 * S)
    silence.on_turn(182 * S)
    silence.verdicts()
    assert silence.suspicion == ""


def test_a_doubt_stays_while_nobody_is_heard() -> None:
    """An operator who looks an hour later reads it too; the first nodes that are back, and nothing else, end it."""
    silence = listening()
    for name in "abcd":
        silence.on_beat(name, 90 * S)
    for second in range(91, 3800):
        silence.on_turn(second * S)
        silence.verdicts()
        assert bool(silence.suspicion) is (second >= 180)
    silence.on_beat("a", 3800 * S)
    silence.on_turn(3800 * S)
    silence.verdicts()
    assert silence.suspicion == ""


def test_verdicts_are_those_of_a_scan() -> None:
    """Random beats of forty nodes: the ordered sets say the same as looking at each of them."""
    for seed in range(20):
        rng = Random(seed)
        silence, heard = listening(), dict.fromkeys(map(str, range(40)), 90 * S)
        judged: dict[str, str] = {}
        for name in heard:
            silence.on_beat(name, 90 * S)
        now_ns = 90 * S
        for _ in range(400):
            now_ns += rng.randrange(1, BEAT)
            for name in heard:
                if rng.random() < (0.3 if int(name) < 20 else 0.004):
                    heard[name] = now_ns
                    judged.pop(name, None)
                    silence.on_beat(name, now_ns)
            silence.on_turn(now_ns)
            late, stale = silence.verdicts()
            expected_late = {name for name, at_ns in heard.items() if now_ns - at_ns > 3 * BEAT and name not in judged}
            judged.update(dict.fromkeys(expected_late, "late"))
            expected_stale = {name for name, at_ns in heard.items() if now_ns - at_ns >= STALE and judged.get(name) == "late"}
            judged.update(dict.fromkeys(expected_stale, "stale"))
            assert (set(late), set(stale)) == (expected_late, expected_stale), f"seed {seed}"
