"""A real container runtime for the tests of a file, in each version that the lab has."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from harness.lab.place import VERSIONS
from harness.lab.runtime import LabRuntime


@pytest.fixture(scope="module", params=VERSIONS)
def running(request: pytest.FixtureRequest) -> Iterator[LabRuntime]:
    """A runtime with NRI, for all tests of a file that can share one."""
    with tempfile.TemporaryDirectory(prefix="lab-") as folder, LabRuntime(Path(folder), request.param) as made:
        yield made


@pytest.fixture
def runtime(running: LabRuntime) -> Iterator[LabRuntime]:
    """The runtime, without pods afterwards."""
    yield running
    running.remove_all()
