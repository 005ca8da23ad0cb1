"""Checks a package that npm has fetched against the lock file, and takes out the files that pages use; `scripts/assets` calls it.

python scripts/asset_files.py wanted            prints name@version, or nothing where the files are there already
python scripts/asset_files.py take PACKAGE.tgz  puts them in place, whole or not at all
"""

import base64
import hashlib
import json
import os
import sys
import tarfile
from pathlib import Path

ASSETS = Path(__file__).resolve().parents[1] / "workers" / "http" / "assets"
# What the pages load, and the words of its licence; by the place in the package.
FILES = {
    "package/dist/uPlot.iife.min.js": "uPlot.iife.min.js",
    "package/dist/uPlot.min.css": "uPlot.min.css",
    "package/LICENSE": "uPlot.LICENSE",
}
FILE_BYTES_MAX = 1 << 20


def main(arguments: list[str]) -> int:
    """The exit code: 65 for a package that is not the locked one."""
    package = json.loads((ASSETS / "package-lock.json").read_text())["packages"]["node_modules/uplot"]
    match arguments:
        case ["wanted"]:
            if not _is_there(package["integrity"]):
                print(f"uplot@{package['version']}")
        case ["take", path]:
            return _take(Path(path), package["integrity"])
        case _:
            print(__doc__, file=sys.stderr)
            return 64
    return 0


def _is_there(integrity: str) -> bool:
    mark = ASSETS / "vendor" / "integrity"
    return mark.is_file() and mark.read_text() == integrity and all((ASSETS / "vendor" / name).is_file() for name in FILES.values())


def _take(path: Path, integrity: str) -> int:
    found = "sha512-" + base64.b64encode(hashlib.sha512(path.read_bytes()).digest()).decode()
    if found != integrity:
        print(f"{path} is not the package of package-lock.json: it has {found} and not {integrity}", file=sys.stderr)
        return 65
    new = ASSETS / f"vendor.new.{os.getpid()}"
    new.mkdir()
    with tarfile.open(path) as archive:
        for name, where in FILES.items():
            member = archive.extractfile(name)
            assert member is not None, name
            (new / where).write_bytes(member.read(FILE_BYTES_MAX))
    (new / "integrity").write_text(integrity)
    _put(new, ASSETS / "vendor")
    return 0


def _put(new: Path, place: Path) -> None:
    """In the place of an older version, whose files may be read at this moment: each is exchanged in one step."""
    place.mkdir(exist_ok=True)
    for path in new.iterdir():
        path.replace(place / path.name)
    new.rmdir()


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
