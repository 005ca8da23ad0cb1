"""The default folders of an installed agent: the package stands where no pyproject.toml is."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import agent

PROGRAM = """
import os, sys
from agent.paths import checkout, default_runtime_dir, default_state_dir
if len(sys.argv) > 1:
    os.setuid(int(sys.argv[1]))
print(checkout(), default_state_dir(os.environ), default_runtime_dir(os.environ))
"""


def folders_of_installed_agent(tmp_path: Path, *arguments: str, **environment: str) -> list[str]:
    """What a Python that finds `agent` in a bare folder answers."""
    installed = tmp_path / "site"
    shutil.copytree(Path(agent.__file__).parent, installed / "agent", ignore=shutil.ignore_patterns("__pycache__"))
    # -P: the working folder, a checkout, is not searched.
    command = [sys.executable, "-P", "-c", PROGRAM, *arguments]
    variables = {"PYTHONPATH": str(installed), "PYTHONDONTWRITEBYTECODE": "1", **environment}
    done = subprocess.run(command, env=variables, cwd=tmp_path, capture_output=True, text=True, timeout=30, check=True)
    return done.stdout.split()


def test_root_uses_the_systems_folders_and_a_user_its_own(tmp_path: Path) -> None:
    """XDG variables count for users only."""
    # As root the same question is asked once more as a user: 65534 is nobody everywhere.
    arguments = ["65534"] if os.geteuid() == 0 else []
    xdg = {"XDG_STATE_HOME": "/s", "XDG_RUNTIME_DIR": "/r"}
    if os.geteuid() == 0:
        assert folders_of_installed_agent(tmp_path / "root", **xdg) == ["None", "/var/lib/evergauge", "/run/evergauge"]
    assert folders_of_installed_agent(tmp_path / "user", *arguments, **xdg) == ["None", "/s/evergauge", "/r/evergauge"]


def test_a_user_without_xdg_variables_has_the_usual_folders(tmp_path: Path) -> None:
    """The state below the home folder, the sockets in the user's runtime folder."""
    arguments = ["65534"] if os.geteuid() == 0 else []
    user = 65534 if os.geteuid() == 0 else os.getuid()
    expected = ["None", "/home/n/.local/state/evergauge", f"/run/user/{user}/evergauge"]
    assert folders_of_installed_agent(tmp_path, *arguments, HOME="/home/n") == expected
