"""Where a wheel has the packages; all else about the project is in pyproject.toml.

In a checkout `agent`, `supervisor` and `workers` lie at its root, and an editable install is one line that names it. A wheel has
them in `evergauge/packages`, so that nothing but `evergauge` is laid beside the packages of other projects.
"""

import os
import shutil

from setuptools import setup
from setuptools.command.build_py import build_py
from setuptools.command.egg_info import egg_info

HOME = "evergauge"
INNER = ("agent", "supervisor", "workers")


class BuildPy(build_py):
    """Copies the packages to their place in the wheel."""

    def run(self) -> None:
        """What an earlier build has left would get into the wheel too."""
        if not self.editable_mode:
            for name in (HOME, *INNER):
                shutil.rmtree(os.path.join(self.build_lib, name), ignore_errors=True)
        super().run()
        if not self.editable_mode:
            self._move_data()

    def _move_data(self) -> None:
        """Files that are no modules (pages, styles, pictures) lie where setuptools puts them, beside HOME."""
        for name in INNER:
            laid = os.path.join(self.build_lib, name)
            if os.path.isdir(laid):
                shutil.copytree(laid, os.path.join(self.build_lib, HOME, "packages", name), dirs_exist_ok=True)
                shutil.rmtree(laid)

    def get_module_outfile(self, build_dir: str, package: list[str], module: str) -> str:
        """Where a module's file is written."""
        if not self.editable_mode and package[0] in INNER:
            build_dir = os.path.join(build_dir, HOME, "packages")
        return super().get_module_outfile(build_dir, package, module)


class EggInfo(egg_info):
    """Says which package the installation has at the top."""

    def run(self) -> None:
        """Setuptools takes it from the list of packages, which is that of a checkout."""
        super().run()
        with open(os.path.join(self.egg_info, "top_level.txt"), "w", encoding="ascii") as names:
            names.write(f"{HOME}\n")


setup(cmdclass={"build_py": BuildPy, "egg_info": EggInfo})
