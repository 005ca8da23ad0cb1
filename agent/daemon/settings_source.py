"""The settings of a running agent: read again on demand, compared with those in force, and put in force.

`read` runs in a thread, since a file may be on a disk that does not answer; everything else in the loop.
"""

from collections.abc import Callable

from msgspec import Struct

from agent.config import READER_GROUP, STOP_TIMEOUT, Config
from agent.limit_setting import GOVERNOR_ENABLED
from agent.model.errors import EvergaugeError
from agent.reader_group import group_number
from agent.settings_difference import SettingDifference, differences
from agent.worker_set import WorkerSet
from supervisor.core.child import Child, Policy
from supervisor.core.effect import SettingsRead
from supervisor.core.governance import WorkerBudget
from supervisor.core.settings_change import ChangedSetting, Needed, SettingsChange


class SettingsReader(Struct, frozen=True):
    """How settings become an agent. `load` reads the file again: the environment and the flags are those of the start.

    *Raises:* each EvergaugeError, OSError.
    """

    load: Callable[[], Config]
    worker_set_of: Callable[[Config], WorkerSet]
    make_child: Callable[[str, Config, WorkerSet], Child]
    policy_of: Callable[[Config, str], Policy]
    budgets_of: Callable[[Config, WorkerSet], dict[str, WorkerBudget]]


class SettingsSource:
    """Holds the configuration in force. `on_applied` is told each other one, before any worker starts with it."""

    def __init__(
        self, config: Config, worker_set: WorkerSet, reader: SettingsReader, on_applied: Callable[[Config, WorkerSet], None]
    ) -> None:
        self.config = config
        self._worker_set = worker_set
        self._reader = reader
        self._on_applied = on_applied
        self._read: tuple[int, Config, WorkerSet] | None = None

    def read(self, token: int) -> SettingsRead:
        """Read the settings, and say what follows; nothing is changed yet."""
        try:
            config = self._reader.load()
            gid = group_number(READER_GROUP.key, config.of(READER_GROUP))
            config = config if gid is None else config.with_values({READER_GROUP.key: str(gid)})
            found = self._differences(config)
            # What only a start of the agent follows stays as it is until then: a worker that is started meanwhile must find the
            # sockets and folders where they are.
            config = config.with_kept(self.config, [each.key for each in found if _needed(each) is Needed.RESTART])
            worker_set = self._reader.worker_set_of(config)
        except EvergaugeError as refused:
            return SettingsRead(token, refused.sentence)
        except OSError as failure:
            return SettingsRead(token, f"the settings cannot be read: {failure.strerror or failure}")
        self._read = (token, config, worker_set)
        return SettingsRead(token, change=self._change(found, config, worker_set))

    def apply(self, token: int) -> None:
        """What was read with this token is in force from now on. *Raises:* StorageError."""
        assert self._read is not None
        assert self._read[0] == token, token
        _, self.config, self._worker_set = self._read
        self._read = None
        self._on_applied(self.config, self._worker_set)

    def _differences(self, config: Config) -> list[SettingDifference]:
        from workers import registry

        return differences(registry.settings(), registry.readers(self.config, config), self.config, config)

    def _change(self, found: list[SettingDifference], config: Config, after: WorkerSet) -> SettingsChange:
        before = self._worker_set
        living = before.kinds.keys() & after.kinds.keys()
        readers = {worker for each in found if not each.is_live for worker in each.workers}
        regrouped = {name for name in living if before.members.get(name, ()) != after.members.get(name, ())}
        return SettingsChange(
            settings=tuple(ChangedSetting(each.key, each.before, each.after, _needed(each), each.workers) for each in found),
            stop_timeout_ns=config.of(STOP_TIMEOUT),
            policies={name: self._reader.policy_of(config, name) for name in after.kinds},
            budgets=self._reader.budgets_of(config, after),
            members=after.members,
            is_governed=config.of(GOVERNOR_ENABLED),
            restarted=frozenset((readers & living) | regrouped),
            added=tuple(self._reader.make_child(name, config, after) for name in after.kinds if name not in before.kinds),
            removed=frozenset(before.kinds.keys() - after.kinds.keys()),
        )


def _needed(each: SettingDifference) -> Needed:
    if each.is_live:
        return Needed.NOTHING
    return Needed.RESTARTED_WORKER if each.workers else Needed.RESTART
