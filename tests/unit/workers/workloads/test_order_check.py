"""What a client asks is checked before anything follows from it."""

from typing import Any

import pytest

from workers.keeper.protocol import RefusalWord, Restart, WorkloadLimits
from workers.keeper.refusal import WorkloadRefused
from workers.workloads.order_check import ENV_MAX, parse_grace_ns, parse_name, parse_spec, refused_body


def test_plain_values_become_a_spec() -> None:
    """What is left out has its default."""
    spec = parse_spec({"name": "a", "argv": ["x", "y"], "limits": {"cpu_cores": 2}, "restart": "always"})
    assert (spec.argv, spec.limits, spec.restart, spec.folder) == (("x", "y"), WorkloadLimits(cpu_cores=2.0), Restart.ALWAYS, "/")


@pytest.mark.parametrize(
    "order",
    [
        None, 7, {}, {"name": "a"}, {"name": "a", "argv": []}, {"name": "../a", "argv": ["x"]},
        {"name": "a", "argv": ["x"], "more": 1},
        {"name": "a", "argv": ["x"], "limits": {"cpu_cores": -1}}, {"name": "a", "argv": ["x"], "restart": "sometimes"},
        {"name": "a", "argv": ["x"], "env": {f"V{number}": "" for number in range(ENV_MAX + 1)}}, {"name": "a", "argv": ["x\0"]},
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_refused_with_a_sentence(order: object) -> None:
    """Nothing is made for it."""
    with pytest.raises(WorkloadRefused) as refused:
        parse_spec(order)
    assert refused.value.sentence


def test_names_and_graces_are_checked() -> None:
    """They come from another process too."""
    assert parse_name({"name": "a"}) == "a"
    assert [parse_grace_ns({}), parse_grace_ns({"grace_ns": 5})] == [None, 5]
    bad: list[dict[str, Any]] = [{}, {"name": 7}, {"name": "a/b"}]
    for arguments in bad:
        with pytest.raises(WorkloadRefused):
            parse_name(arguments)
    for grace in (-1, True, "5s", 1 << 62):
        with pytest.raises(WorkloadRefused):
            parse_grace_ns({"grace_ns": grace})


@pytest.mark.parametrize(
    ("code", "exit_code"),
    [(RefusalWord.BAD_LIMIT, 64), (RefusalWord.MISSING_BINARY, 64), (RefusalWord.NAME_TAKEN, 75), (RefusalWord.NO_LIMITS, 69),
     (RefusalWord.SYSTEM, 1), ("of_a_later_keeper", 1)],
)  # fmt: skip
def test_each_refusal_has_its_exit_code(code: str, exit_code: int) -> None:
    """Scripts tell by it what to do."""
    assert refused_body(code, "why")["refused"] == {"code": code, "sentence": "why", "exit": exit_code}
