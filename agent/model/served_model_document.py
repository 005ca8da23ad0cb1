"""What documents say of models: Ollama's manifests, and the answer of an engine's own API. PURE. Foreign bytes, never raising."""

import msgspec

from agent.model.absence import Absence
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
    owned_by: str | None = None


class _Loaded(msgspec.Struct):
    name: str = ""


class _Answer(msgspec.Struct):
    data: list[_Card] | None = None
    models: list[_Loaded] | None = None


# How servers name themselves in their lists; others write there whatever the model's owner is called.
_ENGINE_BY_OWNER = {"vllm": "vllm", "sglang": "sglang", "llamacpp": "llama-server"}
_MANIFEST = msgspec.json.Decoder(_Manifest)
_ANSWER = msgspec.json.Decoder(_Answer)
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


def parse_answer(content: bytes) -> ServedModel | Absence | None:
    """What an engine's own list names: `/v1/models`, or Ollama's `/api/ps`. Several, where its models have different roots.

    vLLM lists the adapters beside their base, whose root is the model that was given. `engine` is empty where the list does not
    say it. *Absent:* None: it lists none; MALFORMED: it is no list.
    """
    try:
        answer = _ANSWER.decode(content)
    except _REFUSALS:
        return Absence.MALFORMED
    if answer.data is not None:
        cards = [card for card in answer.data if card.id]
        return _of_cards(cards) if cards else None
    if answer.models is not None:
        names = [shown_name(_bytes(loaded.name)) for loaded in answer.models if loaded.name]
        return _of_loaded(names) if names else None
    return Absence.MALFORMED


def _of_cards(cards: list[_Card]) -> ServedModel:
    first = cards[0]
    raw, served = shown_name(_bytes(first.root or first.id)), shown_name(_bytes(first.id))
    bases = {card.root or card.id for card in cards if card.root is None or "/" in card.root}
    is_several = len(bases) > 1 and all(card.root in (None, card.id) for card in cards)
    engine = _ENGINE_BY_OWNER.get(first.owned_by or "", "")
    return ServedModel(engine, None if is_several else canonical_name(raw), raw, served, is_several)


def _of_loaded(names: list[str]) -> ServedModel:
    """Ollama's own: names as it shows them."""
    is_several = len(set(names)) > 1
    return ServedModel("ollama", None if is_several else names[0], names[0], names[0], is_several)


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
