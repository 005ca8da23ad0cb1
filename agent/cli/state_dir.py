"""Whether a folder is the state folder of an agent."""

import os

from agent.cli.remedy import start_remedy
from agent.model.errors import UnavailableError
from agent.paths import checkout
from agent.store.layout import DATA_FOLDER
from agent.store.spool_reader import refusal, spool_dir


def check_state_dir(state_dir: str) -> None:
    """Say so when a folder is none of an agent, which has made `spool` or `data` in it before its first row.

    *Raises:* UnavailableError, PermissionRefused, StorageError.
    """
    for path in (spool_dir(state_dir), os.path.join(state_dir, DATA_FOLDER)):
        try:
            os.lstat(path)
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as cause:
            raise refusal(state_dir, cause) from cause
        return
    problem = "it holds no data of an agent" if os.path.isdir(state_dir) else "there is no such folder"
    raise UnavailableError(state_dir, problem, start_remedy("--state-dir", checkout()))
