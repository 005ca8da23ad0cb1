"""What is remembered of entities and dimensions has a bound, and is made again as it was."""

from typing import Any

from fakes.stored_batch import HOST, INSTALL
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

from agent.model.column_type import DType
from agent.store.record import TableForm
from workers.export.names import Names
from workers.export.otlp.column_map import Role, Tag
from workers.export.otlp.conventions_1_44 import CONVENTIONS
from workers.export.otlp.entity import CACHED_MAX, OTHER, Entity, EntityCache, SendingAgent
from workers.export.otlp.plan import TablePlan

AGENT = SendingAgent(HOST, INSTALL, "9")
OF_HOST = dict(AGENT.pairs)


def attributes_of(entity: Entity) -> dict[str, Any]:
    """Those of the resource, read by the official classes."""
    found = Resource.FromString(entity.resource)
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in found.attributes}


def test_an_entity_is_kept_until_there_are_too_many_and_is_then_made_again() -> None:
    """A host may have had more processes than anybody wants to remember."""
    cache = EntityCache([Tag("process.pid")], Names())
    first = cache.entity((0,), AGENT)
    for pid in range(1, CACHED_MAX):
        cache.entity((pid,), AGENT)
    assert cache.entity((0,), AGENT) is first
    assert attributes_of(cache.entity((CACHED_MAX,), AGENT)) == OF_HOST | {"process.pid": CACHED_MAX}
    again = cache.entity((0,), AGENT)
    assert again is not first
    assert again == first


def test_a_unit_of_another_type_than_text_is_not_told() -> None:
    """A segment of another version may have numbers there; they name nothing here."""
    cache = EntityCache([Role.UNIT, Tag("process.pid")], Names())
    assert attributes_of(cache.entity((7, 5), AGENT)) == OF_HOST | {"process.pid": 5}


def test_the_path_of_a_cgroup_is_no_pod_though_its_kind_is_unknown() -> None:
    """The kind is absent then."""
    entity = EntityCache([Role.UNIT, Role.UNIT_KIND], Names()).entity(("/system.slice/a.service", None), AGENT)
    assert attributes_of(entity) == OF_HOST | {"evergauge.unit": "/system.slice/a.service"}
    assert entity.variant == OTHER


def test_points_are_kept_until_there_are_too_many_dimensions_and_are_then_made_again() -> None:
    """Names of devices may come and go for as long as the agent runs."""
    form = TableForm(1, ("device", "reads"), (DType.UTF8, DType.INT64), "disk-")
    plan = TablePlan(CONVENTIONS.tables["host_disk"], form, Names(), frozenset())
    (first,) = plan.points(("sd0", 1), OTHER)
    for number in range(1, CACHED_MAX):
        plan.points((f"sd{number}", 1), OTHER)
    assert plan.points(("sd0", 2), OTHER)[0] is first
    (next_one,) = plan.points((f"sd{CACHED_MAX}", 1), OTHER)
    assert f"sd{CACHED_MAX}".encode() in next_one.ending
    (again,) = plan.points(("sd0", 1), OTHER)
    assert again is not first
    assert again == first
