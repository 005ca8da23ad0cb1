"""Where the cases run: emulated mounts, one for each profile and file of cases, or the real one that the environment names."""

import sys
from collections.abc import Iterator

import pytest
from conformance.companion import Companion, companion
from conformance.mounted import LASTING_PREFIX, PREFIX, REAL, Mounted
from fakes.resctrl_machine import MAY_DISTURB, REAL_MOUNT
from fakes.resctrl_mount import EmulatedResctrl

# Two domains, three events, allocation of cache and bandwidth, ids in plenty: what most rules need.
USUAL_PROFILE = "intel-2socket"


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers",
        "profiles(*names): the emulated machines that a case runs on, `+debug` for the mount option; a real mount runs all",
    )
    config.addinivalue_line("markers", "real_only: a case that has no meaning on an emulated mount and is not collected for one")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "_mounted" not in metafunc.fixturenames:
        return
    marker = metafunc.definition.get_closest_marker("profiles")
    profiles = (REAL,) if REAL_MOUNT else marker.args if marker else (USUAL_PROFILE,)
    metafunc.parametrize("_mounted", profiles, indirect=True, scope="module")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselected and not skipped: a skip says that something is missing."""
    if REAL_MOUNT:
        return
    left_out = [item for item in items if item.get_closest_marker("real_only")]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


class DebugResctrl(EmulatedResctrl):
    """The same machine mounted with the option `debug`, which the command has not."""

    def command_line(self) -> list[str]:
        program = (
            "from msgspec.structs import replace\n"
            "from workers.resctrl.emulator.profile import PROFILES\n"
            "from workers.resctrl.emulator.scenario import Scenario\n"
            "from workers.resctrl.emulator.server import Options, run\n"
            f"profile = replace(PROFILES[{self._profile!r}], debug=True)\n"
            f"run(Options({str(self.mount)!r}, profile, Scenario()), lambda text: print(text, flush=True))\n"
        )
        return [sys.executable, "-c", program]


@pytest.fixture(scope="module")
def _mounted(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mounted]:
    if request.param == REAL:
        real = Mounted(REAL_MOUNT, REAL, may_disturb=MAY_DISTURB)
        # What a broken run has left.
        real.clean_up(PREFIX, LASTING_PREFIX)
        yield real
        return
    profile, _, debug = request.param.partition("+")
    kind = DebugResctrl if debug else EmulatedResctrl
    with kind(tmp_path_factory.mktemp("resctrl"), profile=profile) as emulated:
        yield Mounted(str(emulated.mount), profile, may_disturb=True)


@pytest.fixture
def resctrl(_mounted: Mounted) -> Iterator[Mounted]:
    """A mount without groups of ours, before and after."""
    _mounted.clean_up()
    yield _mounted
    _mounted.clean_up()


@pytest.fixture
def process() -> Iterator[Companion]:
    """A process to be moved about."""
    with companion() as started:
        yield started
