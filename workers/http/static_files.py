"""Files that pages load: only those of a few folders, by their plain names, with a tag by which a browser knows them again.

May import os. A file is read when it is asked for; an agent whose pages nobody opens holds none.
"""

import os
import re
from collections.abc import Mapping

from agent.store.foreign_file import open_regular
from agent.store.left_out import LeftOut
from workers.http.request import HttpRequest
from workers.http.response import PAGE_HEADERS, not_modified, response

FILE_BYTES_MAX = 1 << 20
TYPE_BY_ENDING = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".LICENSE": "text/plain; charset=utf-8",
}
# No slash, and no dot at the begin: no way out of a folder.
_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}")


class StaticFiles:
    """`folders`: the folder on the disk of each path, such as `/assets`. `pages`: folder and name for paths such as `/`."""

    def __init__(self, folders: Mapping[str, str], pages: Mapping[str, tuple[str, str]]) -> None:
        self._folders = folders
        self._pages = pages

    def has(self, path: str, name: str) -> bool:
        """Whether a file is there."""
        return os.path.isfile(os.path.join(self._folders[path], name))

    def answer(self, request: HttpRequest) -> bytes | None:
        """The response to a request for a file. *Absent:* None: the path is none of a file that is there."""
        folder, _, name = request.path.rpartition("/")
        if request.path in self._pages:
            folder, name = self._pages[request.path]
        kind = TYPE_BY_ENDING.get(os.path.splitext(name)[1])
        if folder not in self._folders or kind is None or not _NAME.fullmatch(name):
            return None
        found = _read(os.path.join(self._folders[folder], name))
        if found is None:
            return None
        content, tag = found
        # Asked again each time: after an upgrade nobody sees half of the old page.
        headers = (("ETag", f'"{tag}"'), ("Cache-Control", "no-cache"), *PAGE_HEADERS)
        if not_modified(request, tag):
            return response(304, b"", headers=headers)
        return response(200, content, kind, with_body=request.method != "HEAD", headers=headers)


def _read(path: str) -> tuple[bytes, str] | None:
    """What a file holds, and a tag that another content has not: a hash of it would bring 3 MiB of a library for that."""
    try:
        found = open_regular(path)
    except OSError:
        return None
    if isinstance(found, LeftOut):
        return None
    try:
        status = os.fstat(found)
        return os.pread(found, FILE_BYTES_MAX, 0), f"{status.st_mtime_ns:x}-{status.st_size:x}"
    finally:
        os.close(found)
