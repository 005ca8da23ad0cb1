"""scripts/assets: what the pages draw with is the locked package or nothing, and its lack stops no start."""

import base64
import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ASSETS = Path("workers/http/assets")
FILES = {"dist/uPlot.iife.min.js": b"var uPlot;", "dist/uPlot.min.css": b".u{}", "LICENSE": b"MIT", "dist/other.js": b"no"}


def package(path: Path, files: dict[str, bytes] = FILES) -> str:
    """A package as npm packs it; gives its integrity."""
    with tarfile.open(path, "w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(f"package/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return "sha512-" + base64.b64encode(hashlib.sha512(path.read_bytes()).digest()).decode()


class AssetsCheckout:
    """A checkout with the script alone, a lock, and an npm that gives `served`, or fails."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "checkout"
        self.served = folder / "served.tgz"
        self.calls = folder / "calls"
        for name in ("assets", "asset_files.py", "environment"):
            (self.root / "scripts").mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / "scripts" / name, self.root / "scripts" / name)
        (self.root / ASSETS).mkdir(parents=True)
        (folder / "bin").mkdir()
        npm = folder / "bin" / "npm"
        npm.write_text(f'#!/bin/sh\necho "$@" >>{self.calls}\ncp {self.served} uplot.tgz\n')
        npm.chmod(0o755)
        self.environment = {"PATH": f"{folder}/bin:/usr/bin:/bin", "PYTHON": sys.executable}

    @property
    def vendor(self) -> Path:
        """Where the pages look."""
        return self.root / ASSETS / "vendor"

    def lock(self, integrity: str, version: str = "1.2.3") -> None:
        """Say which package is wanted."""
        packages = {"node_modules/uplot": {"version": version, "integrity": integrity}}
        (self.root / ASSETS / "package-lock.json").write_text(json.dumps({"packages": packages}))

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """The script."""
        command = [str(self.root / "scripts" / "assets"), *words]
        return subprocess.run(command, env=self.environment, capture_output=True, text=True, timeout=50, check=False)


@pytest.fixture
def checkout(tmp_path: Path) -> AssetsCheckout:
    """One whose npm serves the locked package."""
    made = AssetsCheckout(tmp_path)
    made.lock(package(made.served))
    return made


def test_the_locked_package_is_fetched_once(checkout: AssetsCheckout) -> None:
    """Only the files that pages load, with the licence; a second call asks nobody."""
    assert checkout.run().returncode == 0
    assert {path.name: path.read_bytes() for path in checkout.vendor.iterdir() if path.name != "integrity"} == {
        "uPlot.iife.min.js": b"var uPlot;",
        "uPlot.min.css": b".u{}",
        "uPlot.LICENSE": b"MIT",
    }
    assert checkout.run().returncode == 0
    assert checkout.calls.read_text().splitlines() == ["pack --silent --ignore-scripts uplot@1.2.3"]


def test_a_new_lock_fetches_the_new_version(checkout: AssetsCheckout) -> None:
    """And the files of the old one are replaced."""
    assert checkout.run().returncode == 0
    checkout.lock(package(checkout.served, FILES | {"dist/uPlot.iife.min.js": b"newer"}), "1.2.4")
    assert checkout.run().returncode == 0
    assert (checkout.vendor / "uPlot.iife.min.js").read_bytes() == b"newer"
    assert sorted(path.name for path in (checkout.root / ASSETS).iterdir()) == ["package-lock.json", "vendor"]


def test_another_package_is_refused(checkout: AssetsCheckout) -> None:
    """Whatever the server gives: nothing of it is put in place."""
    package(checkout.served, FILES | {"dist/uPlot.iife.min.js": b"evil"})
    ended = checkout.run()
    assert (ended.returncode, checkout.vendor.exists()) == (69, False)
    assert "is not the package of package-lock.json" in ended.stderr


@pytest.mark.runbook("Gateway")
def test_without_a_network_a_sentence_says_how(checkout: AssetsCheckout, tmp_path: Path) -> None:
    """And a package that was brought by hand is taken after the same check."""
    elsewhere = tmp_path / "uplot.tgz"
    checkout.served.rename(elsewhere)
    ended = checkout.run()
    assert ended.returncode == 69
    assert "`npm pack uplot@1.2.3`" in ended.stderr
    assert "--from FILE here" in ended.stderr
    assert checkout.run("--from", str(elsewhere)).returncode == 0
    assert (checkout.vendor / "uPlot.iife.min.js").exists()


def test_the_lock_names_a_version_and_a_hash_and_no_server() -> None:
    """Where packages come from is the machine's own setting."""
    text = (ROOT / ASSETS / "package-lock.json").read_text()
    found = json.loads(text)["packages"]["node_modules/uplot"]
    assert found["version"] == json.loads((ROOT / ASSETS / "package.json").read_text())["dependencies"]["uplot"]
    assert found["integrity"].startswith("sha512-")
    assert "http" not in text


# Stands for the interpreter that makes the environment and for pip.
PYTHON = """#!/usr/bin/env bash
case "$*" in
    "-m venv "*)
        mkdir -p "$3/bin" && cp "$0" "$3/bin/python"
        printf '#!/bin/sh\\necho started\\n' >"$3/bin/agentd" && chmod +x "$3/bin/agentd"
        ;;
    "-m pip --version") exit 1 ;;
    "-m pip install --quiet --no-compile "*) exit 1 ;;
    *asset_files.py*) echo uplot@1.2.3 ;;
esac
"""


def test_a_start_goes_on_without_charts(checkout: AssetsCheckout, tmp_path: Path) -> None:
    """With one sentence, once: the next start tries nothing."""
    checkout.served.unlink()
    shutil.copy(ROOT / "scripts" / "run", checkout.root / "scripts" / "run")
    (checkout.root / "pyproject.toml").write_text("")
    python = tmp_path / "python3.12"
    python.write_text(PYTHON)
    python.chmod(0o755)
    environment = {**os.environ, **checkout.environment, "PYTHON": str(python)}
    for told in ("scripts/assets fetches them", ""):
        ended = subprocess.run(
            [str(checkout.root / "scripts" / "run")], env=environment, capture_output=True, text=True, timeout=50, check=False
        )
        assert (ended.returncode, ended.stdout) == (0, "started\n"), ended.stderr
        assert (told in ended.stderr) if told else ended.stderr == ""
