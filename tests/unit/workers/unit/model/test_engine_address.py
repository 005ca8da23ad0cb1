"""The setting that names engines, and the names of units in it."""

import pytest

from agent.model.rule import Unit, UnitKind
from workers.unit.model.engine_address import ENGINES_MAX, EngineAddress, Engines, engine_of, names_of, parse_engines

SETTING = Engines("sampler.unit.engines", "", "about")


def test_units_and_addresses() -> None:
    """Separated by commas or blanks; an address of version 6 in brackets; another path where it is written."""
    text = "vllm.service=http://127.0.0.1:8000, shop/chat=http://[::1]:30000/\n/ollama.service=http://10.0.0.7:11434/api/ps"
    assert parse_engines(text) == (
        EngineAddress("vllm.service", "127.0.0.1", 8000),
        EngineAddress("shop/chat", "::1", 30000),
        EngineAddress("/ollama.service", "10.0.0.7", 11434, "/api/ps"),
    )
    assert parse_engines("") == ()


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("vllm.service", "is not UNIT=http"),
        ("=http://127.0.0.1:1", "is not UNIT=http"),
        ("a=https://127.0.0.1:1", "does not begin with http://"),
        ("a=http://127.0.0.1", "no port"),
        ("a=http://127.0.0.1:0", "no port"),
        ("a=http://127.0.0.1:65536", "no port"),
        ("a=http://127.0.0.1:" + "9" * 3000, "no port"),
        ("a=http://127.0.0.1:٣", "no port"),
        ("a=http://localhost:80", "not numeric"),
        ("a=http://user:pw@127.0.0.1:80", "not numeric"),
        ("a=http://127.0.0.1:80/ü", "not plain ASCII"),
        ("a=http://127.0.0.1:1,a=http://127.0.0.1:2", "named twice"),
        (" ".join(f"{number}=http://127.0.0.1:1" for number in range(ENGINES_MAX + 1)), "more than"),
    ],
)
def test_what_cannot_be_meant_is_refused(text: str, problem: str) -> None:
    """With what is wrong."""
    with pytest.raises(ValueError, match=problem):
        parse_engines(text)


def test_the_setting_is_its_text() -> None:
    """As all settings of text; what is wrong is said before the agent starts."""
    text = "vllm.service=http://127.0.0.1:8000"
    assert SETTING.parse(text) == text
    assert "http://ADDRESS:PORT" in SETTING.accepted
    with pytest.raises(ValueError, match="UNIT=http"):
        SETTING.parse("x")


@pytest.mark.parametrize(
    ("unit", "names"),
    [
        (Unit("/a.slice/b.service", UnitKind.SERVICE, "/a.slice/b.service"), {"/a.slice/b.service", "b.service"}),
        (Unit("/e/x.workload", UnitKind.WORKLOAD, "/e/x.workload"), {"/e/x.workload", "x.workload", "x"}),
        (Unit("u-1", UnitKind.POD, "/kube/podu-1", namespace="shop", name="web"), {"u-1", "/kube/podu-1", "podu-1", "shop/web"}),
        (Unit("u-1", UnitKind.POD, "/kube/podu-1"), {"u-1", "/kube/podu-1", "podu-1"}),
    ],
)
def test_the_names_by_which_an_operator_means_a_unit(unit: Unit, names: set[str]) -> None:
    """Whole or short."""
    assert names_of(unit) == names


@pytest.mark.parametrize(
    ("path", "metrics"),
    [
        ("/v1/models", "/metrics"),
        ("/base/v1/models", "/base/metrics"),
        ("/api/ps", "/metrics"),
        ("/", "/metrics"),
        ("/v1/models/x", "/metrics"),
    ],
)
def test_metrics_are_beside_the_list_of_models(path: str, metrics: str) -> None:
    """Below the same path of their own; else at the root."""
    assert EngineAddress("a", "127.0.0.1", 8000, path).metrics_path == metrics


def test_the_engine_of_a_unit() -> None:
    """By any of its names; none without names and without engines."""
    unit = Unit("/a.slice/b.service", UnitKind.SERVICE, "/a.slice/b.service")
    address = EngineAddress("b.service", "127.0.0.1", 8000)
    assert engine_of(unit, {"b.service": address}) == address
    assert engine_of(unit, {"c.service": address}) is None
    assert engine_of(unit, {}) is None
    assert engine_of(None, {"b.service": address}) is None
