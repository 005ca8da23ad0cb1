"""Hides optional packages that libraries would import and this agent does not need. Import this before `multiprocess`.

The import system takes a None in `sys.modules` for a package that is not installed. Each would be in memory twice, in the
supervisor and in the fork server:

- `multiprocess` pickles with `dill` where it is installed, else with the standard library's pickle. Only one
  function name and some bytes are pickled here, so dill would be nothing but cost: 4 MiB and 25 ms.
- `msgspec` takes three names from `typing_extensions` where it is installed, else from `typing`; the former imports
  `inspect`: together 1.3 MiB and 8 ms.
- `multiprocess` imports `tempfile`, and that `shutil`, which takes `bz2` and `lzma` where they are installed, to pack archives:
  0.15 MiB and 2 ms.
"""

import sys
from collections.abc import Sequence

_DILL = "dill"
_UNUSED_BY_AGENTD = ("typing_extensions", "bz2", "lzma")


def prologue(search_path: Sequence[str]) -> str:
    """The code that a child interpreter, such as the fork server, must run first: it hides the same packages and takes over the
    search path."""
    # An empty entry stands for the present folder, from which nothing is imported.
    path = [entry for entry in search_path if entry]
    hidden = ", ".join(f"{name}=None" for name in (_DILL, *_UNUSED_BY_AGENTD))
    return f"import sys; sys.modules.update({hidden}); sys.path[:] = {path!r}; "


def hide_unused_packages() -> None:
    """For agentd itself, before `msgspec` and `multiprocess` are imported. Other programs may need them for something else."""
    for name in _UNUSED_BY_AGENTD:
        _hide(name)


def _hide(name: str) -> None:
    sys.modules.setdefault(name, None)  # type: ignore[arg-type]  # typeshed does not allow None here


_hide(_DILL)
