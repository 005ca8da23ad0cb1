"""The writer's side of a sealer: starts the process; `workers.framework.child_process` watches it."""

from workers.framework.child_process import ChildTask, RunningChild, start_child
from workers.writer.report import SealReport, decode_report

# One sealer at work.
Sealing = RunningChild[SealReport]


def start_sealer(segment_path: str, state_directory: str, forms_from: str, reader_gid: int | None = None) -> Sealing:
    """Start the process. *Raises:* StorageError when the system refuses one."""
    options = ["--forms-from", forms_from]
    if reader_gid is not None:
        options += ["--reader-gid", str(reader_gid)]
    task = ChildTask("sealing", segment_path, "it is kept and sealed later")
    return start_child("workers.writer.sealer", [segment_path, state_directory, *options], task, decode_report)
