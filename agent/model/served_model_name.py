"""What a model is called, whatever it was given as: a repository, a path, a file, an address. PURE. Linear in the text."""

import re

# A commit of a repository; shown as short as a person writes it.
_COMMIT = re.compile(r"[0-9a-f]{40}")
_COMMIT_CHARACTERS = 12
# `Q4_K_M`, `IQ2_XXS`, `Q8_0`, `BF16`, `MXFP4`: the last word of the name of a file.
_QUANTIZATION = re.compile(r"(?:i?q[1-9](?:_[0-9a-z]{1,3}){0,3}|b?f(?:16|32)|fp(?:8|16|32)|mxfp4(?:_moe)?|tq[12]_0)", re.IGNORECASE)
_PART_OF_SEVERAL = re.compile(r"-[0-9]{5}-of-[0-9]{5}\Z")
# The last part of a path that says nothing: where others mount what somebody named.
_NAMELESS = frozenset({"", ".", "..", "1", "data", "hf", "latest", "main", "model", "models", "snapshot", "snapshots", "weights"})
_HUB_ADDRESSES = ("https://huggingface.co/", "https://hf.co/", "hf://", "huggingface.co/", "hf.co/")
_BLOB = "sha256-"
_NO_REVISIONS = frozenset({"main", "master", ""})


def canonical_name(raw: str, revision: str | None = None) -> str:
    """`org/name`, with `@revision` and `:quantization` where they are told; of a path the part that names the model.

    *Range:* never empty, never longer than what was given and the revision.
    """
    text = raw.split("?", 1)[0].split("#", 1)[0].rstrip("/") or raw
    name, own_revision = _by_hub_address(text) or _by_hub_cache(text) or _by_path(text)
    found = revision or own_revision
    return name if found is None or found in _NO_REVISIONS else f"{name}@{_short(found)}"


def blob_of(raw: str) -> str | None:
    """The digest of a model that is given as a file of Ollama's store: `sha256:…`. *Absent:* it is none."""
    name = raw.rsplit("/", 1)[-1]
    digits = name[len(_BLOB) :]
    is_digest = name.startswith(_BLOB) and len(digits) == 64 and all(digit in "0123456789abcdef" for digit in digits)
    return f"sha256:{digits}" if is_digest else None


def _short(revision: str) -> str:
    return revision[:_COMMIT_CHARACTERS] if _COMMIT.fullmatch(revision) else revision


def _by_hub_address(text: str) -> tuple[str, str | None] | None:
    """`https://huggingface.co/org/name/resolve/main/file.gguf`."""
    prefix = next((each for each in _HUB_ADDRESSES if text.startswith(each)), None)
    if prefix is None:
        return None
    parts = text[len(prefix) :].split("/")
    if len(parts) < 2 or not parts[0] or not parts[1]:
        return None
    repository = "/".join(parts[:2])
    if len(parts) < 5 or parts[2] not in ("resolve", "blob", "tree", "raw"):
        return repository, None
    quantization = _of_file(parts[-1])[1]
    return repository if quantization is None else f"{repository}:{quantization}", parts[3]


def _by_hub_cache(text: str) -> tuple[str, str | None] | None:
    """`…/models--org--name/snapshots/COMMIT/file`."""
    parts = text.split("/")
    at = next((number for number, part in enumerate(parts) if part.startswith("models--")), None)
    if at is None:
        return None
    repository = parts[at].removeprefix("models--").replace("--", "/", 1)
    if not repository:
        return None
    quantization = _of_file(parts[-1])[1] if len(parts) > at + 3 else None
    commit = parts[at + 2] if len(parts) > at + 2 and parts[at + 1] == "snapshots" else None
    return repository if quantization is None else f"{repository}:{quantization}", commit


def _by_path(text: str) -> tuple[str, str | None]:
    if "://" in text:
        text = text.split("://", 1)[1]
    elif text[:1] not in ("/", ".", "~") and text.count("/") <= 1 and not text.lower().endswith(".gguf"):
        # A repository, perhaps with `:Q4_K_M` as llama.cpp takes it.
        return text, None
    last = text.rsplit("/", 1)[-1]
    if last.lower() in _NAMELESS:
        return text or "/", None
    stem, quantization = _of_file(last)
    return stem if quantization is None else f"{stem}:{quantization}", None


def _of_file(name: str) -> tuple[str, str | None]:
    """The name without its ending, part number and quantization; and the quantization, where it has one."""
    if not name.lower().endswith(".gguf"):
        return name, None
    stem = _PART_OF_SEVERAL.sub("", name[:-5]) or name
    at = max(stem.rfind("-"), stem.rfind("."))
    if at > 0 and _QUANTIZATION.fullmatch(stem, at + 1):
        return stem[:at], stem[at + 1 :].upper()
    return stem, None
