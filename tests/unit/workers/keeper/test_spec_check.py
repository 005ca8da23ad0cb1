"""What cannot be meant is refused before anything is made for it."""

import pytest

from workers.keeper.protocol import IoLimit, RefusalWord, WorkloadLimits, WorkloadSpec
from workers.keeper.refusal import WorkloadRefused
from workers.keeper.spec_check import IO_DEVICES_MAX, check_name, check_spec, has_limits


def refused(**changes: object) -> WorkloadRefused:
    """The refusal of an order that is good but for these."""
    good: dict[str, object] = {"name": "web", "argv": ("true",)}
    with pytest.raises(WorkloadRefused) as caught:
        check_spec(WorkloadSpec(**{**good, **changes}))  # type: ignore[arg-type]  # As the spec has them.
    return caught.value


@pytest.mark.parametrize("name", ["a", "A.b_c-9", "0", "x" * 63])
def test_a_name_is_letters_digits_and_three_signs(name: str) -> None:
    """These can be the name of a file and of a cgroup, and be typed."""
    check_spec(WorkloadSpec(name=name, argv=("true",)))


@pytest.mark.parametrize(
    "name", ["", ".", "..", "-a", "_a", "a/b", "a b", "a\n", "a\0", "ä", "\ud800", "x" * 64, "../etc/passwd", "\x1b[2J"]
)
def test_any_other_name_is_refused(name: str) -> None:
    """Whatever bytes it has: the sentence shows them safely."""
    with pytest.raises(WorkloadRefused) as caught:
        check_name(name)
    assert caught.value.word is RefusalWord.BAD_NAME
    assert caught.value.sentence.isprintable()
    assert "take 1 to 63 of letters" in caught.value.sentence


@pytest.mark.parametrize("argv", [(), ("",), ("true", "a\0b")])
def test_a_command_is_needed(argv: tuple[str, ...]) -> None:
    """None, an empty one, one that exec could not be handed."""
    assert refused(argv=argv).word is RefusalWord.BAD_COMMAND


@pytest.mark.parametrize("env", [{"": "x"}, {"A=B": "x"}])
def test_a_variable_has_a_name(env: dict[str, str]) -> None:
    """One that the environment could not hold is refused."""
    assert refused(env=env).word is RefusalWord.BAD_SETTING


def test_a_nul_byte_is_refused_everywhere() -> None:
    """In variables, in the folder, in the user."""
    for changes in ({"env": {"A": "\0"}}, {"env": {"\0": "A"}}, {"folder": "/\0"}, {"user": "\0"}):
        assert refused(**changes).word is RefusalWord.BAD_COMMAND


def test_a_folder_is_absolute() -> None:
    """The keeper's own folder means nothing to anybody."""
    assert refused(folder="data").word is RefusalWord.BAD_FOLDER


@pytest.mark.parametrize("cores", [0.0, -1.0, 0.0099, 65_537.0, float("nan"), float("inf")])
def test_spawn_invalid_cpu_limit(cores: float) -> None:
    """No part of a CPU below 1 %, and no more than any machine has."""
    found = refused(limits=WorkloadLimits(cpu_cores=cores))
    assert found.word is RefusalWord.BAD_LIMIT
    assert "CPUs" in found.sentence


@pytest.mark.parametrize(
    "limits",
    [
        WorkloadLimits(cpu_weight=0),
        WorkloadLimits(cpu_weight=10_001),
        WorkloadLimits(memory_bytes=1000),
        WorkloadLimits(memory_bytes=1 << 63),
        WorkloadLimits(memory_high_bytes=0),
        WorkloadLimits(pids=0),
        WorkloadLimits(pids=-1),
        WorkloadLimits(io=(IoLimit("/dev/sda"),)),
        WorkloadLimits(io=(IoLimit("/dev/sda", read_bytes_per_second=-1),)),
        WorkloadLimits(io=(IoLimit("/dev/sda", reads_per_second=1),) * (IO_DEVICES_MAX + 1)),
    ],
)
def test_a_limit_outside_its_range_is_refused(limits: WorkloadLimits) -> None:
    """The kernel would refuse it too, but not say what to give."""
    assert refused(limits=limits).word is RefusalWord.BAD_LIMIT


def test_the_least_limits_are_taken() -> None:
    """At the ends of every range."""
    io = (IoLimit("/dev/sda", writes_per_second=1),)
    limits = WorkloadLimits(cpu_cores=0.01, cpu_weight=1, memory_bytes=64 << 10, memory_high_bytes=64 << 10, pids=1, io=io)
    check_spec(WorkloadSpec(name="web", argv=("true",), limits=limits))
    assert has_limits(limits)
    assert not has_limits(WorkloadLimits())


@pytest.mark.parametrize(
    "changes", [{"grace_ns": -1}, {"grace_ns": 1 << 62}, {"output_bytes_max": 1}, {"output_bytes_max": 1 << 41}]
)
def test_a_setting_outside_its_range_is_refused(changes: dict[str, object]) -> None:
    """A grace and a size of the output."""
    assert refused(**changes).word is RefusalWord.BAD_SETTING


def test_variables_with_names_are_taken() -> None:
    """Whatever their values are."""
    check_spec(WorkloadSpec("web", ("true",), env={"A": "", "B": "a=b"}))
