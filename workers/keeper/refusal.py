"""The keeper's no: a word for programs and a sentence for people. PURE."""

from agent.model.errors import EvergaugeError, ExitCode
from workers.keeper.protocol import RefusalWord


class WorkloadRefused(EvergaugeError):
    """What was asked for cannot be done, and nothing of it is left behind."""

    code = ExitCode.FAILED

    def __init__(self, word: RefusalWord, where: str, problem: str, remedy: str = "") -> None:
        super().__init__(where, problem, remedy)
        self.word = word
