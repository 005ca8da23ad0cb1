"""What documents say of models: Ollama's manifests, and the answer of an engine's own API. PURE. Foreign bytes, never raising."""

import msgspec

from agent.model.served_model import ServedModel, shown_name
from agent.model.served_model_name import blob_of, canonical_name

# A manifest has a dozen layers of 200 bytes; an answer has a few models of 500 bytes, of a router a few hundred.
MANIFEST_BYTES_MAX = 64 << 10
ANSWER_BYTES_MAX = 256 << 10
_LAYERS_MAX = 64
_MODEL_LAYER = "application/vnd.ollama.image.model"
_DEFAULT_REGISTRY, _DEFAULT_NAMESPACE, _DEFAULT_TAG = "registry.ollama.ai", "library", "latest"


class _Layer(msgspec.Struct):
    mediaType: str = ""
    digest: str = ""


class _Manifest(msgspec.Struct):
    layers: list[_Layer] = []


class _Card(msgspec.Struct):
    id: str = ""
    root: str | None = None


class _Cards(msgspec.Struct):
    data: list[_Card] = []


_MANIFEST = msgspec.json.Decoder(_Manifest)
_CARDS = msgspec.json.Decoder(_Cards)
_REFUSALS = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def parse_manifest(content: bytes) -> str | None:
    """The digest of the model's own layer. *Absent:* there is none. *Source:* ollama/manifest, OCI image-spec manifest.md."""
    try:
        layers = _MANIFEST.decode(content).layers
    except _REFUSALS:
        return None
    return next((layer.digest for layer in layers[:_LAYERS_MAX] if layer.mediaType == _MODEL_LAYER and layer.digest), None)


def name_of_manifest(path: str) -> str | None:
    """`llama3:8b` of `registry.ollama.ai/library/llama3/8b`, the path below `manifests`; what is usual is left out.

    *Absent:* it is not the path of a manifest.
    """
    parts = path.split("/")
    if len(parts) != 4 or not all(parts):
        return None
    registry, namespace, name, tag = (shown_name(part.encode("utf-8", "surrogateescape")) for part in parts)
    above = [] if registry == _DEFAULT_REGISTRY else [registry]
    above += [] if namespace == _DEFAULT_NAMESPACE and not above else [namespace]
    return "/".join([*above, name]) + f":{tag or _DEFAULT_TAG}"


def with_store_name(model: ServedModel, names: dict[str, str]) -> ServedModel:
    """The model with the name of its blob, where `names` has it by digest; without it what is known is the digest."""
    digest = blob_of(model.raw or "")
    if digest is None:
        return model
    name = names.get(digest)
    return ServedModel(model.engine, name or digest, model.raw, model.served or name, model.is_several)


def parse_model_list(content: bytes, engine: str) -> ServedModel | None:
    """The first model that an engine's `/v1/models` lists; several, where its models have different roots.

    vLLM lists the adapters beside their base, whose root is the model that was given. *Absent:* it lists none.
    """
    try:
        cards = [card for card in _CARDS.decode(content).data if card.id]
    except _REFUSALS:
        return None
    if not cards:
        return None
    first = cards[0]
    raw = shown_name((first.root or first.id).encode("utf-8", "surrogatepass"))
    served = shown_name(first.id.encode("utf-8", "surrogatepass"))
    bases = {card.root or card.id for card in cards if card.root is None or "/" in card.root}
    is_several = len(bases) > 1 and all(card.root in (None, card.id) for card in cards)
    return ServedModel(engine, None if is_several else canonical_name(raw), raw, served, is_several)
