"""Which GPUs a host has, by its files alone."""

from pathlib import Path

from workers.gpu.availability import LIBRARY, GpuSigns, gpu_signs
from workers.gpu.file_sign import smi_path


def test_a_host_without_any_has_no_set(tmp_path: Path) -> None:
    """Nothing is started there."""
    assert gpu_signs({}, str(tmp_path)) == GpuSigns()
    assert gpu_signs({}, str(tmp_path)).sets == ()


def test_the_driver_or_its_library_are_signs_of_nvidia(tmp_path: Path) -> None:
    """A container has the library where LD_LIBRARY_PATH says."""
    (tmp_path / "dev").mkdir()
    (tmp_path / "dev" / "nvidiactl").touch()
    assert gpu_signs({}, str(tmp_path)).sets == ("nvidia",)
    library = tmp_path / "lib" / LIBRARY
    library.parent.mkdir()
    library.touch()
    assert gpu_signs({"LD_LIBRARY_PATH": f":/nowhere:{library.parent}"}, str(tmp_path / "empty")).sets == ("nvidia",)


def test_render_nodes_are_signs_of_a_drm_driver(tmp_path: Path) -> None:
    """But not those of display chips, or of NVIDIA's own driver."""
    for name, driver in (("renderD128", "amdgpu"), ("renderD129", "nvidia"), ("card0", "i915"), ("renderD130", "ast")):
        node = tmp_path / "sys/class/drm" / name / "device"
        node.mkdir(parents=True)
        (node / "driver").symlink_to(f"../drivers/{driver}")
    (tmp_path / "sys/class/drm/renderD131").mkdir()
    found = gpu_signs({}, str(tmp_path))
    assert (found.drm_drivers, found.sets) == (("amdgpu",), ("drm",))


def test_nvidia_smi_is_looked_for_on_the_search_path(tmp_path: Path) -> None:
    """It must be a program."""
    program = tmp_path / "nvidia-smi"
    program.touch(mode=0o644)
    assert smi_path({"PATH": f":{tmp_path}"}) is None
    program.chmod(0o755)
    assert smi_path({"PATH": f":{tmp_path}"}) == str(program)
    assert gpu_signs({"PATH": str(tmp_path)}, str(tmp_path)).has_smi
