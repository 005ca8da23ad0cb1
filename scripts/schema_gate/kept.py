"""Finds the declaration to compare with: a kept release, a file, or what a git revision kept."""

import subprocess
from pathlib import Path

from schema_gate.declaration import Declaration, from_json, version_key

ROOT = Path(__file__).parents[2]
FOLDER = "docs/schema"


class MisuseOfBase(Exception):
    """BASE names nothing that can be compared with; the text is a sentence for a person."""


def kept_versions(root: Path = ROOT) -> list[str]:
    """The releases whose declarations are kept, the newest last."""
    return sorted((path.stem for path in (root / FOLDER).glob("*.json")), key=version_key)


def kept_path(version: str, root: Path = ROOT) -> Path:
    """Where the declaration of a release is kept."""
    return root / FOLDER / f"{version}.json"


def base_of(word: str | None, root: Path = ROOT) -> tuple[str, Declaration]:
    """What it is, in words, and the declaration. None: that of the newest kept release. *Raises:* MisuseOfBase."""
    versions = kept_versions(root)
    if word is None:
        if not versions:
            raise MisuseOfBase(f"{FOLDER} keeps no release yet; scripts/schema-check --write keeps the present one")
        word = versions[-1]
    if word in versions:
        return f"release {word}", _parsed(kept_path(word, root).read_bytes(), str(kept_path(word, root)))
    if Path(word).is_file():
        return f"file {word}", _parsed(Path(word).read_bytes(), word)
    return _of_revision(word, versions, root)


def _of_revision(word: str, versions: list[str], root: Path) -> tuple[str, Declaration]:
    commit = _git(root, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{word}^{{commit}}")
    if commit is None:
        known = ", ".join(versions) or "none"
        raise MisuseOfBase(f"{word} is no kept release (there are: {known}), no file, and no git revision that is here")
    commit = commit.strip()
    names = (_git(root, "ls-tree", "--name-only", commit, f"{FOLDER}/") or "").split()
    there = sorted((Path(name).stem for name in names if name.endswith(".json")), key=version_key)
    if not there:
        raise MisuseOfBase(f"at {word} {FOLDER} kept no declaration; name a later revision, or a release: {', '.join(versions)}")
    text = _git(root, "show", f"{commit}:{FOLDER}/{there[-1]}.json")
    assert text is not None, there
    return f"release {there[-1]} as {word} kept it", _parsed(text.encode(), f"{word}:{FOLDER}/{there[-1]}.json")


def _parsed(text: bytes, where: str) -> Declaration:
    try:
        return from_json(text)
    except ValueError as cause:
        raise MisuseOfBase(f"{where} cannot be used: {cause}") from cause


def _git(root: Path, *words: str) -> str | None:
    try:
        ended = subprocess.run(["git", "-C", str(root), *words], capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired) as cause:
        raise MisuseOfBase(f"git cannot be asked for {words[-1]}: {cause}") from cause
    return ended.stdout if ended.returncode == 0 else None
