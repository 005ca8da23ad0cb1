"""Whether resctrl can be used here, for the switch that says `auto`."""

from pathlib import Path

from agent.config import Config
from workers.resctrl.availability import is_available


def _config(tmp_path: Path, *, auto_mount: bool, filesystems: str) -> Config:
    proc = tmp_path / "proc"
    proc.mkdir()
    (proc / "filesystems").write_text(filesystems)
    return Config({"resctrl.mount": str(tmp_path / "resctrl"), "resctrl.auto_mount": auto_mount, "kernel.proc_root": str(proc)})


def test_what_is_not_mounted_is_available_where_the_kernel_has_it_and_the_agent_may_mount_it(tmp_path: Path) -> None:
    """The name stands last in its line."""
    assert is_available(_config(tmp_path, auto_mount=True, filesystems="nodev\tproc\nnodev\tresctrl\n"))


def test_a_kernel_without_it_has_nothing_to_mount(tmp_path: Path) -> None:
    """A name that only contains it is another one."""
    assert not is_available(_config(tmp_path, auto_mount=True, filesystems="nodev\tfuse.resctrl2\n"))


def test_what_may_not_be_mounted_is_not_available(tmp_path: Path) -> None:
    """The kernel would have it."""
    assert not is_available(_config(tmp_path, auto_mount=False, filesystems="nodev\tresctrl\n"))


def test_a_host_that_cannot_be_looked_at_has_none(tmp_path: Path) -> None:
    """Without a list of file systems nobody knows."""
    config = _config(tmp_path, auto_mount=True, filesystems="")
    (tmp_path / "proc" / "filesystems").unlink()
    assert not is_available(config)
