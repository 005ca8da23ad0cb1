"""A plugin of pytest under `coverage run`: each measured line knows the file of tests that reached it.

The context `run:FILE` has what a file's tests do, with their fixtures; `collect` what happens while files are imported: the bodies
of modules, which run once, at the first import.
"""

import contextlib
from collections.abc import Generator

import pytest
from coverage import Coverage
from coverage.exceptions import CoverageException

COLLECT = "collect"
RUN = "run:"


def _switch(context: str) -> None:
    current = Coverage.current()
    if current is not None:
        # A run without contexts of its own: its figures then belong to no file, and are told as missing.
        with contextlib.suppress(CoverageException):
            current.switch_context(context)


def pytest_sessionstart(session: pytest.Session) -> None:
    """Before any file is imported."""
    _switch(COLLECT)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Around a test and its fixtures."""
    _switch(RUN + str(item.path.relative_to(item.config.rootpath)))
    return (yield)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """What is torn down last is nobody's."""
    _switch(COLLECT)
