"""A folder as the place of a lake: each file is whole, on the disk, and named once. Touches the file system.

No symbolic link is followed below the lake's own folder, and nothing is read that is no regular file or belongs to another user
than root, this one, or the owner of the folder. Names that begin with a dot are the lake's own unfinished files.
"""

import errno
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import IO

from agent.failpoint import failpoint
from agent.lake.bucket import BucketFailure, Content, FileGone, ObjectHead, PutOutcome, Tagged
from agent.lake.folder_step import (
    CHUNK_BYTES,
    UNFINISHED,
    entries,
    exists,
    force,
    holds,
    is_older,
    last,
    locked,
    parent,
    tag_of,
    unfinished_name,
    write,
)
from agent.lake.path import PATH_BYTES_MAX
from agent.model.foreign import readable
from agent.store.digest import read_range
from agent.store.foreign_file import open_regular
from agent.store.left_out import LeftOut
from agent.store.sealed import owners_of

PAGE = 1000
DEPTH_MAX = 8
_FULL = (errno.ENOSPC, errno.EDQUOT)
# What may pass without a person: a disk or a server that does not answer, or has no room for a moment.
_PASSING = (errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.EHOSTDOWN, errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE)
_NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK)
_FOLDER_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW


class FolderBucket:
    """See `agent.lake.bucket.Bucket`. The folder itself is there before: it may be a mount that is missing now."""

    def __init__(self, folder: str) -> None:
        self._folder = folder

    @property
    def shown(self) -> str:
        return f"file://{readable(self._folder)}"

    @property
    def folder(self) -> str:
        """Where the files are; a name is a path below it."""
        return self._folder

    def get(self, name: str, bytes_max: int) -> bytes | None:
        with self._guarded():
            try:
                descriptor = self._open(name)
            except FileGone:
                return None
            try:
                if os.fstat(descriptor).st_size > bytes_max:
                    raise BucketFailure(name, f"it is longer than {bytes_max} bytes", "remove it", is_passing=False)
                return read_range(descriptor, 0, bytes_max)
            finally:
                os.close(descriptor)

    def put_new(self, name: str, content: Content) -> PutOutcome:
        with self._guarded():
            self._look()
            folder = self._make_folders(name)
            try:
                if not exists(folder, last(name)):
                    unfinished = unfinished_name(name)
                    write(folder, unfinished, content)
                    if self._give_name(folder, unfinished, last(name)):
                        return PutOutcome.STORED
                return self._compare(folder, name, content)
            finally:
                os.close(folder)

    def put_file(self, name: str, path: str) -> PutOutcome:
        import mmap

        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            if not size:
                return self.put_new(name, b"")
            # As a file's own pages it takes no memory that could not be had back.
            with mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ) as mapped, memoryview(mapped) as view:
                return self.put_new(name, view)

    def replace(self, name: str, content: Content) -> None:
        with self._guarded():
            self._look()
            folder = self._make_folders(name)
            try:
                self._put_in_place(folder, name, content)
            finally:
                os.close(folder)

    def read_tagged(self, name: str, bytes_max: int) -> Tagged | None:
        content = self.get(name, bytes_max)
        return None if content is None else Tagged(content, tag_of(content))

    def exchange(self, name: str, content: bytes, tag: str | None) -> bool:
        with self._guarded():
            self._look()
            folder = self._make_folders(name)
            try:
                with locked(folder):
                    found = self.read_tagged(name, CHUNK_BYTES)
                    if (None if found is None else found.tag) != tag:
                        return False
                    self._put_in_place(folder, name, content)
                    return True
            finally:
                os.close(folder)

    def head(self, name: str) -> ObjectHead | None:
        with self._guarded():
            try:
                descriptor = self._open(name)
            except FileGone:
                return None
            try:
                found = os.fstat(descriptor)
            finally:
                os.close(descriptor)
            return ObjectHead(name, found.st_size, found.st_mtime_ns)

    def pages(self, prefix: str, after: str = "") -> Iterator[Sequence[ObjectHead]]:
        assert not prefix or prefix.endswith("/")
        with self._guarded():
            self._look()
        page: list[ObjectHead] = []
        for head in self._walk(prefix.rstrip("/"), after, DEPTH_MAX):
            page.append(head)
            if len(page) == PAGE:
                yield page
                page = []
        if page:
            yield page

    def folders(self, prefix: str) -> Sequence[str]:
        assert not prefix or prefix.endswith("/")
        with self._guarded():
            self._look()
            try:
                folder = self._open_folder(prefix.rstrip("/"))
            except (FileNotFoundError, NotADirectoryError):
                return []
            try:
                return sorted(name for name, is_folder, _, _ in entries(folder, "") if is_folder)
            finally:
                os.close(folder)

    def delete(self, name: str) -> None:
        with self._guarded():
            try:
                folder = self._open_folder(parent(name))
            except FileNotFoundError:
                return
            try:
                with suppress(FileNotFoundError):
                    os.unlink(last(name), dir_fd=folder)
            finally:
                os.close(folder)

    def open(self, name: str) -> IO[bytes]:
        with self._guarded():
            return os.fdopen(self._open(name), "rb")

    def fetch(self, name: str, path: str) -> None:
        with self.open(name) as source, open(path, "wb") as target:
            while chunk := source.read(CHUNK_BYTES):
                target.write(chunk)

    def sweep(self, older_than_ns: int) -> int:
        bound_ns = time.time_ns() - older_than_ns
        swept = 0
        with self._guarded():
            # From the bottom, so that a folder whose last folder goes can go too, a day later.
            for _, folders, names, descriptor in os.fwalk(self._folder, topdown=False, follow_symlinks=False):
                for name in names:
                    if name.startswith(".") and name.endswith(UNFINISHED) and is_older(descriptor, name, bound_ns):
                        with suppress(FileNotFoundError):
                            os.unlink(name, dir_fd=descriptor)
                            swept += 1
                for name in folders:
                    # A landing file's, whose file was compacted. One that is not empty stays.
                    if name.startswith(("date=", "host=")) and is_older(descriptor, name, bound_ns):
                        with suppress(OSError):
                            os.rmdir(name, dir_fd=descriptor)
        return swept

    # ---- below ----

    def _walk(self, below: str, after: str, depth: int) -> Iterator[ObjectHead]:
        with self._guarded():
            try:
                folder = self._open_folder(below)
            except (FileNotFoundError, NotADirectoryError):
                return
            try:
                found = sorted(entries(folder, after[len(below) + 1 :] if after.startswith(f"{below}/") else ""))
            finally:
                os.close(folder)
        for name, is_folder, size, changed_ns in found:
            path = f"{below}/{name}" if below else name
            if is_folder and depth and len(path) < PATH_BYTES_MAX:
                yield from self._walk(path, after, depth - 1)
            elif not is_folder and path > after:
                yield ObjectHead(path, size, changed_ns)

    def _look(self) -> None:
        if not os.path.isdir(self._folder):
            raise FileNotFoundError(errno.ENOENT, "there is no such folder")

    def _open(self, name: str) -> int:
        """*Raises:* FileGone; BucketFailure for what is no file of the lake's own."""
        try:
            folder = self._open_folder(parent(name))
        except (FileNotFoundError, NotADirectoryError):
            self._look()
            raise FileGone(name) from None
        try:
            found = open_regular(f"/proc/self/fd/{folder}/{last(name)}", owners_of(self._folder))
        except FileNotFoundError:
            raise FileGone(name) from None
        finally:
            os.close(folder)
        if isinstance(found, LeftOut):
            raise BucketFailure(f"{self.shown}/{name}", f"{found.reason}", "move it away", is_passing=False)
        return found

    def _open_folder(self, below: str) -> int:
        """A descriptor of a folder of the lake, reached without a link. *Raises:* OSError."""
        descriptor = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        for part in below.split("/") if below else ():
            try:
                inner = os.open(part, _FOLDER_FLAGS, dir_fd=descriptor)
            finally:
                os.close(descriptor)
            descriptor = inner
        return descriptor

    def _make_folders(self, name: str) -> int:
        """As `_open_folder`, of the folder of a name; those that are missing are made, and forced to the disk."""
        descriptor = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        for part in parent(name).split("/") if "/" in name else ():
            try:
                try:
                    inner = os.open(part, _FOLDER_FLAGS, dir_fd=descriptor)
                except FileNotFoundError:
                    with suppress(FileExistsError):
                        os.mkdir(part, 0o750, dir_fd=descriptor)
                    inner = os.open(part, _FOLDER_FLAGS, dir_fd=descriptor)
                    force(descriptor)
            finally:
                os.close(descriptor)
            descriptor = inner
        return descriptor

    def _give_name(self, folder: int, unfinished: str, name: str) -> bool:
        """Name it; False: somebody else has taken the name."""
        try:
            failpoint("lake.before_link")
            os.link(unfinished, name, src_dir_fd=folder, dst_dir_fd=folder, follow_symlinks=False)
            failpoint("lake.link")
            return True
        except FileExistsError:
            return False
        except OSError as cause:
            if cause.errno not in _NO_LINKS:
                raise
            problem = f"its file system gives no file a second name ({cause.strerror})"
            raise BucketFailure(self.shown, problem, "use a folder of another file system", is_passing=False) from cause
        finally:
            with suppress(FileNotFoundError):
                os.unlink(unfinished, dir_fd=folder)
            force(folder)

    def _compare(self, folder: int, name: str, content: Content) -> PutOutcome:
        found = open_regular(f"/proc/self/fd/{folder}/{last(name)}", owners_of(self._folder))
        if isinstance(found, LeftOut):
            return PutOutcome.OTHER
        try:
            return PutOutcome.SAME if holds(found, content) else PutOutcome.OTHER
        finally:
            os.close(found)

    def _put_in_place(self, folder: int, name: str, content: Content) -> None:
        unfinished = unfinished_name(name)
        write(folder, unfinished, content)
        os.rename(unfinished, last(name), src_dir_fd=folder, dst_dir_fd=folder)
        force(folder)

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        try:
            yield
        except OSError as cause:
            raise self._failure(cause) from cause

    def _failure(self, cause: OSError) -> BucketFailure:
        if cause.errno in _FULL:
            return BucketFailure(self.shown, f"the folder is full ({cause.strerror})", "free space there", is_passing=True)
        if cause.errno in _PASSING:
            return BucketFailure(self.shown, f"the folder cannot be used now ({cause.strerror})", is_passing=True)
        if cause.errno == errno.ENOENT and os.path.isdir(self._folder):
            return BucketFailure(self.shown, "an empty folder was removed below it meanwhile", is_passing=True)
        remedy = "make it, mount it, or let this user write there"
        return BucketFailure(self.shown, f"the folder cannot be used ({cause.strerror})", remedy, is_passing=False)
