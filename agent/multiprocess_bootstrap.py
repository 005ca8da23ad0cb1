"""What libraries use where it is installed, and nothing here needs, is hidden from them. Import this before `multiprocess`.

A None in `sys.modules` is the import system's word for «not here». Each package would be there twice, in the supervisor and
in the fork server:

- `multiprocess` pickles with `dill` where it is installed, else with the standard library's pickle. What crosses here is one
  function by its name and some bytes, so dill is only its cost: 4 MiB and 25 ms.
- `msgspec` takes three names from `typing_extensions` where it is installed, else from `typing`; the former brings `inspect`
  along: together 1.3 MiB and 8 ms.
"""

import sys
from collections.abc import Sequence

_DILL, _TYPING = "dill", "typing_extensions"


def prologue(search_path: Sequence[str]) -> str:
    """What the fork server, which is another interpreter, must do first of all: it also looks for modules where we do."""
    # An empty entry stands for the present folder, which is nobody's to import from.
    path = [entry for entry in search_path if entry]
    return f"import sys; sys.modules.update({_DILL}=None, {_TYPING}=None); sys.path[:] = {path!r}; "


def hide_typing_extensions() -> None:
    """For agentd itself, before `msgspec` is imported. In other programs somebody else may need it."""
    _hide(_TYPING)


def _hide(name: str) -> None:
    sys.modules.setdefault(name, None)  # type: ignore[arg-type]  # typeshed does not know of None here


_hide(_DILL)
