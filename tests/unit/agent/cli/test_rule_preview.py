"""Why a new rule takes no pod: the condition that none meets, and what there is instead."""

import pytest

from agent.cli.rule_preview import why_none
from agent.model.rule import GroupRule, Match, Unit, UnitKind

WEB = Unit("u-web", UnitKind.POD, "/kubepods/podu-web", 1, "shop", "web-0", None, {"app": "web"})
DB = Unit("u-db", UnitKind.POD, "/kubepods/podu-db", 1, "data", "db-0", None, {"app": "db"})
NAMELESS = Unit("u-new", UnitKind.POD, "/kubepods/podu-new", 1)


def why(*units: Unit, namespace: str = "*", pod: str = "*", labels: dict[str, str] | None = None) -> str:
    return why_none(GroupRule("web", 0, Match(namespace, pod, labels or {})), units)


def test_a_misspelt_condition_is_named_with_what_there_is() -> None:
    """The first one that no pod meets."""
    assert why(WEB, DB, namespace="shpo") == "no pod has namespace shpo; there are data, shop"
    assert why(WEB, DB, namespace="shop", pod="wev-*") == "no pod has name wev-*; there are db-0, web-0"
    assert why(WEB, DB, labels={"app": "wbe"}) == "no pod has label app=wbe; its values are db, web"
    assert why(WEB, DB, labels={"ap": "web"}).startswith("no pod has label ap; ")
    # Each is met by some pod: only all together are not.
    assert why(WEB, DB, namespace="data", labels={"app": "web"}) == ""


@pytest.mark.parametrize("labels", [None, {"app": "web"}])
def test_without_any_name_the_source_of_names_is_what_is_missing(labels: dict[str, str] | None) -> None:
    """The condition may be right. A name alone may be that of a service."""
    assert "no container runtime has reported" in why(NAMELESS, namespace="*" if labels else "shop", labels=labels)
    assert why(NAMELESS, pod="web") == ""


def test_names_of_many_pods_and_of_hostile_ones_stay_one_line() -> None:
    """Five of them, cut, with what a terminal would obey as an escape."""
    many = [Unit(f"u{n}", UnitKind.POD, f"/p{n}", 1, f"{n:02d}\x1b[2J" + "x" * 90, "p", None, {}) for n in range(9)]
    told = why(*many, namespace="shop")
    assert (told.isprintable(), told.endswith(" and 4 more")) == (True, True)
    assert len(told) < 400
