"""Asks an engine for its models, and for its load. It runs in a thread of its own."""

from agent.model.absence import Absence
from agent.model.engine_load import METRICS_BYTES_MAX, EngineLoad, no_load, parse_engine_load
from agent.model.errors import ProtocolError
from agent.model.served_model_document import ANSWER_BYTES_MAX, parse_answer
from workers.unit.model.engine_address import EngineAddress
from workers.unit.model.engine_request import get, refusal
from workers.unit.model.finding import ModelFinding, ModelSource


def ask_engine(address: EngineAddress) -> ModelFinding:
    """What the engine says. `told` and `absent` are both None where it serves no model now."""
    body = _body(address, address.path, "application/json", ANSWER_BYTES_MAX)
    told = body if isinstance(body, Absence) else parse_answer(body)
    if isinstance(told, Absence):
        return ModelFinding(ModelSource.ENGINE_API, None, told)
    return ModelFinding(ModelSource.ENGINE_API, told)


def ask_load(address: EngineAddress) -> EngineLoad:
    """What its metrics say."""
    body = _body(address, address.metrics_path, "text/plain", METRICS_BYTES_MAX)
    return no_load(body) if isinstance(body, Absence) else parse_engine_load(body)


def _body(address: EngineAddress, path: str, media_type: str, bytes_max: int) -> bytes | Absence:
    try:
        reply = get(address, path, media_type, bytes_max)
    except OSError:
        return Absence.NOT_ANSWERED
    except ProtocolError:
        return Absence.MALFORMED
    return refusal(reply) or bytes(reply.body)
