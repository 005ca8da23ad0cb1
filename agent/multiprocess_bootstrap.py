"""Hides optional packages that libraries would import and this agent does not need. Import this before `multiprocess`.

The import system takes a None in `sys.modules` for a package that is not installed. Each would be in memory twice, in the
supervisor and in the fork server:

- `multiprocess` pickles with `dill` where it is installed, else with the standard library's pickle. Only one
  function name and some bytes are pickled here, so dill would be nothing but cost: 4 MiB and 25 ms.
- `msgspec` takes three names from `typing_extensions` where it is installed, else from `typing`; the former imports
  `inspect`: together 1.3 MiB and 8 ms.
"""

import sys
from collections.abc import Sequence

_DILL, _TYPING = "dill", "typing_extensions"


def prologue(search_path: Sequence[str]) -> str:
    """The code that a child interpreter, such as the fork server, must run first: it hides the same packages and takes over the
    search path."""
    # An empty entry stands for the present folder, from which nothing is imported.
    path = [entry for entry in search_path if entry]
    return f"import sys; sys.modules.update({_DILL}=None, {_TYPING}=None); sys.path[:] = {path!r}; "


def hide_typing_extensions() -> None:
    """For agentd itself, before `msgspec` is imported. Other programs may need the package for something else."""
    _hide(_TYPING)


def _hide(name: str) -> None:
    sys.modules.setdefault(name, None)  # type: ignore[arg-type]  # typeshed does not allow None here


_hide(_DILL)
