"""The package `multiprocess` without what it can do without; import this before it, in every process.

It pickles with `dill` where that is installed and with the standard library's pickle where not. What crosses here is
one function by its name and some bytes, so dill is only its cost: 4 MiB and 25 ms in the supervisor and again in the
fork server. A None in `sys.modules` is the import system's word for «not here».
"""

import sys
from collections.abc import Sequence


def prologue(search_path: Sequence[str]) -> str:
    """What the fork server, which is another interpreter, must do first of all: it also looks for modules where we do."""
    # An empty entry stands for the present folder, which is nobody's to import from.
    return f"import sys; sys.modules['dill'] = None; sys.path[:] = {[path for path in search_path if path]!r}; "


sys.modules.setdefault("dill", None)  # type: ignore[arg-type]  # typeshed does not know of None here
