"""What there is to run and to store: found, not listed, and described well enough to be read without the code."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from fakes import new_kind

import workers
from agent.config import SETTINGS, Config
from agent.model.column_type import DType
from agent.model.table import Table
from agent.model.tables import SYSTEM_TABLES
from agent.model.worker_kind import ROTATE
from agent.worker_set import agent_worker_set
from workers import registry, samplers

NAME = re.compile(r"[a-z][a-z0-9_]*")
UNITS = {"", "1", "ns", "ns or bytes", "bytes", "bytes/s", "bits/s", "1/s", "clock ticks", "clock ticks/s", "mW", "Hz", "Celsius"}
NEW_SAMPLER = """
from agent.model.column_type import DType
from agent.model.table import Column, Table
from workers.framework.sampler import Sampler, enabled_setting, interval_setting

TABLE = Table("made_up", 1, "about", ("timestamp",), (Column("timestamp", DType.INT64, "ns", "when", "clock"),))
SAMPLER = Sampler(
    name="made-up",
    about="nothing at all",
    tables=(TABLE,),
    files=("/proc/nothing",),
    is_enabled=enabled_setting("made-up"),
    interval=interval_setting("made-up"),
    further_settings=(),
    open=lambda around: None,
)
"""
each_table = pytest.mark.parametrize("table", registry.tables(), ids=lambda table: table.name)


def test_every_module_of_the_package_is_a_sampler() -> None:
    """All but the declaration of what a sampler is; nobody is forgotten and nobody is named."""
    modules = {path.stem for path in Path(samplers.__path__[0]).glob("*.py")} - {"__init__"}
    assert modules
    assert {type(sampler.open).__name__ for sampler in registry.all_samplers()} <= {"type", "function"}
    assert len(registry.all_samplers()) == len(modules)


def test_samplers_have_different_names_that_find_them() -> None:
    """A worker is `sampler/<name>`; an unknown name is a bug of the caller."""
    names = [sampler.name for sampler in registry.all_samplers()]
    assert sorted(set(names)) == sorted(names)
    assert [registry.sampler(name).name for name in names] == names
    with pytest.raises(KeyError):
        registry.sampler("no such sampler")


def test_system_tables_come_first_and_no_name_is_used_twice() -> None:
    """Neither of a table nor of a file."""
    tables = registry.tables()
    assert tables[: len(SYSTEM_TABLES)] == SYSTEM_TABLES
    assert len({table.name for table in tables}) == len({table.prefix for table in tables}) == len(tables)


def test_every_setting_is_there_once() -> None:
    """By key, by flag and by environment variable; the agent's own are among them."""
    settings = registry.settings()
    for form in ("key", "flag", "environment_name"):
        assert len({getattr(setting, form) for setting in settings}) == len(settings)
    assert set(SETTINGS) <= set(settings)


def test_a_samplers_settings_carry_its_name_and_can_switch_it_off() -> None:
    """So that `agentd --help` tells whose they are."""
    for sampler in registry.all_samplers():
        assert all(setting.key.startswith(f"sampler.{sampler.name}.") for setting in sampler.settings)
        assert sampler.is_enabled.key == f"sampler.{sampler.name}.enabled"
        assert sampler.interval.key == f"sampler.{sampler.name}.interval"
        assert {sampler.is_enabled, sampler.interval} <= set(registry.settings())


def test_every_sampler_says_what_it_measures_and_what_it_reads() -> None:
    """The banner and the doctor show it."""
    for sampler in registry.all_samplers():
        assert sampler.about
        assert sampler.files
        assert all(path.startswith("/") for path in sampler.files)


@each_table
def test_a_table_says_what_it_is_and_what_is_unique_in_it(table: Table) -> None:
    """Its key is made of its columns; its version counts from one."""
    assert NAME.fullmatch(table.name)
    assert table.about.endswith(".")
    assert table.version >= 1
    assert table.key
    assert set(table.key) <= set(table.column_names)
    assert len(set(table.column_names)) == len(table.columns)


@each_table
def test_every_column_has_a_meaning_a_unit_and_a_source(table: Table) -> None:
    """Numbers have a unit, text has none; the first column is the time, in nanoseconds."""
    assert (table.columns[0].name, table.columns[0].unit, table.columns[0].nullable) == ("timestamp", "ns", False)
    for column in table.columns:
        assert NAME.fullmatch(column.name)
        assert column.about
        assert column.source
        assert column.unit in UNITS
        assert (column.unit == "") == (column.dtype in (DType.UTF8, DType.BOOL))


@each_table
def test_a_columns_name_says_its_unit(table: Table) -> None:
    """Anyone who writes a query need not look it up."""
    for column in table.columns:
        for unit, ending in (("bytes", "_bytes"), ("bytes/s", "_bytes_per_second"), ("clock ticks", "_ticks")):
            assert (column.unit == unit) == column.name.endswith(ending), column.name
        if column.name.endswith("_ns"):
            assert column.unit == "ns"


def _forget() -> None:
    registry.all_samplers.cache_clear()
    registry.all_workers.cache_clear()


@pytest.fixture
def folder_of_samplers(tmp_path: Path) -> Iterator[Path]:
    """A second folder of the package `workers.samplers`, searched as if its files lay in the first."""
    _forget()
    samplers.__path__.append(str(tmp_path))
    yield tmp_path
    samplers.__path__.remove(str(tmp_path))
    sys.modules.pop("workers.samplers.made_up", None)
    vars(samplers).pop("made_up", None)
    _forget()


def test_a_new_sampler_is_one_new_file(folder_of_samplers: Path) -> None:
    """Its worker, its table and its settings are there without any other edit."""
    before = (registry.all_samplers(), registry.tables(), registry.settings())
    _forget()
    (folder_of_samplers / "made_up.py").write_text(NEW_SAMPLER)
    assert registry.sampler("made-up").about == "nothing at all"
    assert {sampler.name for sampler in registry.all_samplers()} == {sampler.name for sampler in before[0]} | {"made-up"}
    assert {table.name for table in registry.tables()} == {table.name for table in before[1]} | {"made_up"}
    assert len(registry.settings()) == len(before[2]) + 2


def test_a_file_without_a_sampler_is_a_bug_that_shows_at_once(folder_of_samplers: Path) -> None:
    """It is not passed over in silence."""
    (folder_of_samplers / "made_up.py").write_text("SAMPLER = 'not one'\n")
    with pytest.raises(AssertionError, match="made_up"):
        registry.all_samplers()


@pytest.fixture
def folder_of_kinds(tmp_path: Path) -> Iterator[Path]:
    """A second folder of the package `workers`, searched as if its folders lay in the first."""
    _forget()
    workers.__path__.append(str(tmp_path))
    yield tmp_path
    workers.__path__.remove(str(tmp_path))
    for name in [name for name in sys.modules if name.startswith("workers.made_up")]:
        del sys.modules[name]
    vars(workers).pop("made_up", None)
    _forget()


def _write_kind(folder: Path, text: str) -> None:
    (folder / "made_up").mkdir()
    (folder / "made_up" / "__init__.py").write_text("")
    (folder / "made_up" / "worker.py").write_text(text)


def test_a_new_kind_is_one_new_folder(folder_of_kinds: Path) -> None:
    """Its worker, place in the order, table, setting and metrics are there without any other edit."""
    before = (registry.worker_names(), registry.tables(), registry.settings())
    _forget()
    _write_kind(folder_of_kinds, Path(new_kind.__file__).read_text())
    # Of the order 80, as the router has, and before it by its name.
    assert registry.worker_names() == (*before[0][:-2], "made-up", *before[0][-2:])
    assert {table.name for table in registry.tables()} == {table.name for table in before[1]} | {"made_up"}
    assert {setting.key for setting in registry.settings()} - {setting.key for setting in before[2]} == {"made_up.enabled"}
    assert [each.name for each in registry.statistics()["made-up"]] == ["evergauge_made_up_turns_total"]
    assert list(agent_worker_set(Config({})).kinds) == list(registry.worker_names()[:2]) + [
        name for name in registry.worker_names()[2:] if registry.worker(name).is_wanted(Config({}))
    ]
    assert "made-up" not in agent_worker_set(Config({"made_up.enabled": False})).kinds


def test_a_folder_without_a_worker_is_a_bug_that_shows_at_once(folder_of_kinds: Path) -> None:
    """It is not passed over in silence."""
    _write_kind(folder_of_kinds, "WORKER = 'not one'\n")
    with pytest.raises(AssertionError, match="made_up"):
        registry.all_workers()


def test_two_workers_of_one_name_are_a_bug_that_shows_at_once(folder_of_kinds: Path) -> None:
    """One would replace the other."""
    _write_kind(folder_of_kinds, "from workers.writer.worker import WORKER\n")
    with pytest.raises(AssertionError, match="one name"):
        registry.all_workers()


def test_a_folder_that_is_no_kind_has_no_worker_module() -> None:
    """Libraries and the runtime stand beside the kinds."""
    kinds = {path.parent.name for path in Path(workers.__path__[0]).glob("*/worker.py")}
    assert {worker.kind.name for worker in registry.all_workers()} == {name.replace("_", "-") for name in kinds} | {"sampler"}


def test_the_writer_starts_first_and_the_gateway_last() -> None:
    """What the others send at their end is stored, and the gateway shows all of them."""
    assert (registry.worker_names()[0], registry.worker_names()[-1]) == ("writer", "gateway")


def test_exactly_one_kind_makes_the_agent_ready_and_one_binds_the_data_socket() -> None:
    """The supervisor looks for these properties and for no name."""
    kinds = [worker.kind for worker in registry.all_workers()]
    assert [kind.name for kind in kinds if kind.may_publish] == ["control-plane"]
    assert [kind.name for kind in kinds if kind.binds_data_socket] == ["writer"]
    assert [kind.name for kind in kinds if ROTATE in kind.answers] == ["writer"]
