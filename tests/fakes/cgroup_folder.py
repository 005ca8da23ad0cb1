"""A cgroup root of version 2 in a folder, whose files count as the kernel does: for what reads and watches files."""

from pathlib import Path


class CgroupFolder:
    """`kill` and `hit` write the files of a cgroup and of all above it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        (root / "cgroup.controllers").write_text("memory\n")

    def make(self, path: str, limit: str = "max") -> None:
        """A cgroup and all above it."""
        for each in [*self._above(path), path]:
            folder = self.root / each.lstrip("/")
            if not folder.exists():
                folder.mkdir()
                for name in ("memory.events", "memory.events.local"):
                    (folder / name).write_text("low 0\nhigh 0\nmax 0\noom 0\noom_kill 0\noom_group_kill 0\n")
        (self.root / path.lstrip("/") / "memory.max").write_text(limit + "\n")

    def hit(self, path: str) -> None:
        """Its limit cannot be kept."""
        self._count(path, "oom")

    def kill(self, path: str) -> None:
        """One of its processes is killed."""
        self._count(path, "oom_kill")

    def remove(self, path: str) -> None:
        """Without what is below it."""
        folder = self.root / path.lstrip("/")
        for file in folder.iterdir():
            file.unlink()
        folder.rmdir()

    @staticmethod
    def _above(path: str) -> list[str]:
        parts = path.strip("/").split("/")
        return ["/" + "/".join(parts[: number + 1]) for number in range(len(parts) - 1)]

    def _count(self, path: str, word: str) -> None:
        # From below: a cgroup never has less than what is above it shows of it.
        folder = self.root / path.lstrip("/")
        for file in [
            folder / "memory.events.local",
            folder / "memory.events",
            *(self.root / each.lstrip("/") / "memory.events" for each in self._above(path)[::-1]),
        ]:
            counts = dict(line.split() for line in file.read_text().splitlines())
            counts[word] = str(int(counts[word]) + 1)
            file.write_text("".join(f"{name} {count}\n" for name, count in counts.items()))
