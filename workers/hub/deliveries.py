"""Deliveries of rows: handed on to the writer undecoded, and acknowledged once all of a delivery is stored. PURE.

The writer drops what comes twice, so a delivery that was taken in part is simply sent again.
"""

from collections import OrderedDict, deque
from collections.abc import Mapping, Sequence
from random import Random

from msgspec import Struct

from agent.fleet.message import Hold, HubAnswer, RowsHead, Taken, WantForms
from agent.model.message import BatchOrigin, ForeignBatch
from agent.ports import FORWARD_BYTES_MAX, Forwarder
from agent.store.origin_form import FORM_BYTES_MAX, encode_form
from workers.hub.effect import AnswerNode

# Connections whose tables are remembered; one that is forgotten is asked for them once more.
CONNECTIONS_MAX = 4096
FORMS_MAX = 256
# Of all connections together: tens of KiB of each node, some of whose tables are as many as there are.
FORMS_BYTES_MAX = 64 << 20
# While the writer has no room: those that wait do not come back at one moment.
HOLD_LEAST_MS, HOLD_MOST_MS = 100, 1000


class _UnderWay(Struct, frozen=True):
    """A delivery whose last batch has this number at the writer."""

    last: int
    connection: bytes
    number: int
    refused_rows: int
    sentence: str


class Deliveries:
    """*Units:* `rows` and `bytes` count what was handed on since the hub's start, repeated ones too."""

    def __init__(self, forwarder: Forwarder, chance: Random) -> None:
        self.rows = self.bytes = self.held = self.refused_rows = 0
        self._forwarder = forwarder
        self._chance = chance
        self._forms: OrderedDict[bytes, dict[int, bytes]] = OrderedDict()
        self._forms_bytes = 0
        self._under_way: deque[_UnderWay] = deque()

    def on_rows(self, connection: bytes, origin: tuple[str, str], head: RowsHead, rows: Sequence[bytes]) -> HubAnswer | None:
        """Hand a delivery on. `origin`: host and installation of the node. *Absent:* None: the answer comes when it is stored."""
        forms = self._forms_of(connection, head)
        unknown = {batch.form for batch in head.batches if batch.form not in forms}
        if not unknown <= head.forms.keys():
            return WantForms(head.number)
        last, refused_rows, sentence = 0, 0, ""
        host, install = origin
        for batch, encoded in zip(head.batches, rows, strict=True):
            if batch.form in unknown:
                # Asked for again they would come again.
                refused_rows += batch.rows
                sentence = f"the columns of {batch.table} have more than {FORM_BYTES_MAX} bytes, or are of too many kinds"
                continue
            if len(encoded) > FORWARD_BYTES_MAX:
                refused_rows += batch.rows
                sentence = f"a batch of {batch.table} has {len(encoded)} bytes, {FORWARD_BYTES_MAX} are the most"
                continue
            from_node = BatchOrigin(host, install, batch.run, batch.worker, batch.epoch, batch.seq, forms[batch.form])
            number = self._forwarder.offer(ForeignBatch(from_node, batch.table, batch.stamp_wall_ns, batch.rows, encoded))
            if number is None:
                self.held += 1
                return Hold(self._chance.randrange(HOLD_LEAST_MS, HOLD_MOST_MS), head.number)
            last = number
            self.rows += batch.rows
            self.bytes += len(encoded)
        self.refused_rows += refused_rows
        if last <= self._forwarder.stored():
            return Taken(head.number, refused_rows, sentence)
        self._under_way.append(_UnderWay(last, connection, head.number, refused_rows, sentence))
        return None

    def on_stored(self) -> list[AnswerNode]:
        """The writer has stored more: who may be told."""
        stored = self._forwarder.stored()
        told = []
        while self._under_way and self._under_way[0].last <= stored:
            done = self._under_way.popleft()
            told.append(AnswerNode(done.connection, Taken(done.number, done.refused_rows, done.sentence)))
        return told

    def _forms_of(self, connection: bytes, head: RowsHead) -> Mapping[int, bytes]:
        known = self._forms.setdefault(connection, {})
        self._forms.move_to_end(connection)
        for word, form in head.forms.items():
            encoded = encode_form(form)
            if len(encoded) <= FORM_BYTES_MAX and (len(known) < FORMS_MAX or word in known):
                self._forms_bytes += len(encoded) - len(known.get(word, b""))
                known[word] = encoded
        while len(self._forms) > 1 and (len(self._forms) > CONNECTIONS_MAX or self._forms_bytes > FORMS_BYTES_MAX):
            _, forgotten = self._forms.popitem(last=False)
            self._forms_bytes -= sum(map(len, forgotten.values()))
        return known
