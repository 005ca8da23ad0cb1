"""Where folders are when nobody says, as seen from this checkout; `tests/integration/test_default_folders.py` installs."""

import os

from agent.paths import checkout, default_runtime_dir, default_state_dir


def test_a_checkout_keeps_its_folders_to_itself() -> None:
    """Nothing outside the checkout is touched by anyone who tries the agent from its source."""
    root = checkout()
    assert root is not None
    assert os.path.isfile(os.path.join(root, "pyproject.toml"))
    assert default_state_dir({}) == default_runtime_dir({}) == os.path.join(root, ".evergauge")


def test_the_environment_names_other_folders() -> None:
    """One variable for each; an empty one says nothing."""
    environment = {"EVERGAUGE_STATE_DIR": "/a", "EVERGAUGE_RUNTIME_DIR": "/b", "XDG_STATE_HOME": "/c"}
    assert (default_state_dir(environment), default_runtime_dir(environment)) == ("/a", "/b")
    assert default_state_dir({"EVERGAUGE_STATE_DIR": ""}) == default_state_dir({})
