"""Which mount a path leads to, from the table of mounts and links, without a look at the mount itself."""

from pathlib import Path

import pytest

from agent.mount_lookup import mount_of


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """A table with one mount that is not there: at its place there is a plain folder."""
    (tmp_path / "deep/mounted").mkdir(parents=True)
    line = f"36 35 0:98 / {tmp_path}/deep/mounted rw - fuse.resctrl evergauge rw\n"
    (tmp_path / "mountinfo").write_text(f"22 1 8:1 / / rw - ext4 /dev/root rw\n{line}")
    return tmp_path / "mountinfo"


@pytest.mark.parametrize("path", ["deep/mounted", "deep/../deep/mounted/", "link", "link-to-link", "linked/mounted", "relative"])
def test_a_path_leads_to_the_mount_through_any_links(table: Path, path: str) -> None:
    """Links to the mount, to its folder, to another link."""
    folder = table.parent
    (folder / "link").symlink_to(folder / "deep/mounted")
    (folder / "link-to-link").symlink_to(folder / "link")
    (folder / "linked").symlink_to(folder / "deep")
    (folder / "relative").symlink_to("linked/../deep/mounted")
    found = mount_of(f"{folder}/{path}", str(table))
    assert found is not None
    assert found.type == "fuse.resctrl"


@pytest.mark.parametrize("path", ["deep", "deep/mounted/inside", "missing", "circle"])
def test_what_leads_to_no_mount_has_none(table: Path, path: str) -> None:
    """A folder above, a place below, nothing, and a link to itself."""
    (table.parent / "circle").symlink_to("circle")
    assert mount_of(str(table.parent / path), str(table)) is None
