"""The example plugin: the runtime's own library for plugins, in Go, receives the same events and does nothing with them."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from supervisors.toolchain import FOLDER

from nri_bench.bench import Bench

MODULE = "github.com/containerd/nri"
VERSION = "v0.12.5"
_PROGRAM = """package main

import (
\t"context"
\t"os"

\t"github.com/containerd/nri/pkg/api"
\t"github.com/containerd/nri/pkg/stub"
)

type plugin struct{}

func (plugin) Synchronize(context.Context, []*api.PodSandbox, []*api.Container) ([]*api.ContainerUpdate, error) { return nil, nil }
func (plugin) RunPodSandbox(context.Context, *api.PodSandbox) error                                          { return nil }
func (plugin) StopPodSandbox(context.Context, *api.PodSandbox) error                                         { return nil }
func (plugin) RemovePodSandbox(context.Context, *api.PodSandbox) error                                       { return nil }
func (plugin) StartContainer(context.Context, *api.PodSandbox, *api.Container) error                         { return nil }
func (plugin) StopContainer(context.Context, *api.PodSandbox, *api.Container) ([]*api.ContainerUpdate, error) { return nil, nil }
func (plugin) RemoveContainer(context.Context, *api.PodSandbox, *api.Container) error                        { return nil }

func main() {
\tmade, err := stub.New(plugin{}, stub.WithPluginName("example"), stub.WithPluginIdx("10"), stub.WithSocketPath(os.Args[1]))
\tif err == nil {
\t\terr = made.Run(context.Background())
\t}
\tif err != nil {
\t\tprintln(err.Error())
\t\tos.Exit(1)
\t}
}
"""


def build(bench: Bench) -> Path | str:
    """The program, made once and kept in `.bench/`; a text says why it cannot be had."""
    folder = FOLDER / f"nri-plugin-{VERSION}"
    program = folder / "plugin"
    if not bench.options.rival:
        return "the example plugin was left out"
    if program.exists():
        return program
    if shutil.which("go") is None:
        return "the example plugin is left out: there is no Go here"
    bench.say("building the example plugin")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "main.go").write_text(_PROGRAM)
    (folder / "go.mod").write_text("module example\n\ngo 1.22\n")
    for words in (["get", f"{MODULE}@{VERSION}"], ["build", "-mod=mod", "-o", "plugin.new", "."]):
        done = subprocess.run(
            ["go", *words], cwd=folder, capture_output=True, text=True, check=False, env=os.environ | {"CGO_ENABLED": "0"}
        )
        if done.returncode != 0:
            return f"the example plugin is left out: {(done.stderr.strip().splitlines() or ['go failed'])[-1]}"
    (folder / "plugin.new").rename(program)
    return program


@contextmanager
def rival(bench: Bench, socket: Path) -> Iterator[int | str]:
    """The process number of a running example plugin, or why there is none."""
    program = build(bench)
    if isinstance(program, str):
        yield program
        return
    with (program.parent / "output").open("w") as output:
        process = subprocess.Popen([program, socket], stdin=subprocess.DEVNULL, stdout=output, stderr=output)
    try:
        yield process.pid
    finally:
        process.kill()
        process.wait(10)
