"""Where `agentctl ask` takes its rows from: a state folder, or a fleet's store; and the names of pods that are stored there."""

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from agent.cli.call import Call
from agent.cli.known_names import KnownNames
from agent.cli.pod_name import namespace_of, pod_name
from agent.cli.state_dir import check_state_dir
from agent.cli.state_rows import StateRows
from agent.cli.top_names import TopNames
from agent.model.errors import MisuseError
from agent.model.timebase import DAY
from agent.router.question import PodNames, RoutedQuestion
from agent.router.source import BATCH_ROWS, RowSource

if TYPE_CHECKING:
    from agent.lake.bucket import Bucket

T = TypeVar("T")

# Instead of a URL: the one of the settings.
CONFIGURED = "configured"
_POD_COLUMNS = ("timestamp", "host", "pod_uid", "pod_namespace", "pod_name")
# More pods no fleet has in a day and an hour.
NAMES_MAX = 2_000_000


def with_source(call: Call, question: RoutedQuestion, now_ns: int, ask: Callable[[RowSource], T]) -> T:
    """What `ask` makes of the rows. *Raises:* EvergaugeError."""
    url = call.text("--lake")
    if url is None:
        state_dir = call.state_dir()
        check_state_dir(state_dir)
        from workers.registry import tables

        return ask(StateRows(state_dir, {table.name: table for table in tables()}))
    from agent.router.lake_source import with_lake

    return with_lake(_opened(call, url), question.since_ns, min(question.until_ns, now_ns), ask)


def _opened(call: Call, url: str) -> "Bucket":
    """The fleet's store. How it is reached, and who asks, say the settings and the environment."""
    from agent.command import Invocation
    from agent.config_file import load_config
    from agent.lake.opening import open_lake
    from agent.lake.setup import lake_setup

    config = load_config(Invocation(), call.environment)
    setup = lake_setup(config, "" if url == CONFIGURED else url)
    if setup is None:
        raise MisuseError("--lake", "the settings name no lake.url", "write the URL of the fleet's store")
    return open_lake(setup, call.environment)


def names_of(call: Call, source: RowSource, since_ns: int, until_ns: int, check: Callable[[], None]) -> PodNames:
    """Names of pods by uid: those of table pod_group since a day before, then those that a running agent knows."""
    stored: dict[str, str] = {}
    for batch in source.batches("pod_group", since_ns - DAY, until_ns, _POD_COLUMNS, BATCH_ROWS):
        check()
        # Each pod has a row a day and more, whose names are the same.
        there = [name for name in _POD_COLUMNS[2:] if name in batch.schema.names]
        for row in batch.select(there).to_pylist():
            name = pod_name(row.get("pod_namespace"), row.get("pod_name"))
            if name is not None and isinstance(uid := row.get("pod_uid"), str) and len(stored) < NAMES_MAX:
                stored[uid] = name
    known: dict[str, str] = {}
    if not source.is_delivered:
        agent = TopNames(call)
        agent.refresh(0.0)
        known = dict(agent.known.pods)
    names = dict(KnownNames(stored).over(KnownNames(known)).pods)
    return PodNames(names, {uid: namespace for uid, name in names.items() if (namespace := namespace_of(name))})
