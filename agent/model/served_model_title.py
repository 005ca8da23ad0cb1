"""Which server a process belongs to that has written a title over its arguments. PURE.

The process that holds the GPU often has no arguments left: vLLM, SGLang and Ray write a title over them. A title names the server
and, of Ray Serve, the application; it never names a model.
"""

from agent.model.served_model import ServedModel, shown_name

TITLE_BYTES_MAX = 512
# vLLM's prefix can be set (VLLM_PROCESS_NAME_PREFIX); what follows it cannot.
_VLLM_PARTS = ("EngineCore", "Worker", "APIServer", "DPCoordinator", "Router")
_SGLANG = "sglang::"
_RAY = "ray::ServeReplica:"


def model_by_title(command_line: bytes) -> ServedModel | None:
    """What the title of a process says. *Absent:* it has none of a known server."""
    title = command_line[:TITLE_BYTES_MAX].split(b"\0", 1)[0].strip()
    if b"::" not in title:
        return None
    text = title.decode("utf-8", "replace")
    if text.startswith(_RAY):
        # `ray::ServeReplica:app:Deployment.method()` while it answers.
        application = text.removeprefix(_RAY).split(".", 1)[0].split(" ", 1)[0]
        return ServedModel("ray-serve", served=shown_name(application.encode()) or None, is_several=True)
    if text.startswith(_SGLANG):
        return ServedModel("sglang")
    part = text.split("::", 1)[1]
    return ServedModel("vllm") if part.startswith(_VLLM_PARTS) else None
