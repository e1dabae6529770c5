"""LocalPartition and LocalExchange: what several drivers make, joined in the order of the scan."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable

import pyarrow as pa

from columnar_nn.exec.operators.base import WAIT_SECONDS, Operator, SourceOperator


class OrderedExchange:
    """A bounded queue between the drivers of one pipeline and the driver of the next.

    Batches carry the number of the morsel they were made of and leave in that order. A driver
    more than `window` morsels ahead of the oldest one that is unfinished, or not yet taken, is
    blocked, which bounds the memory whatever the number of rows.
    """

    def __init__(self, num_producers: int) -> None:
        self.window = 2 * num_producers + 2
        self._producers = num_producers
        self._condition = threading.Condition()
        self._pending: dict[int, list[pa.RecordBatch]] = {}
        self._done: set[int] = set()
        self._head = 0
        self._ready: deque[tuple[int, pa.RecordBatch]] = deque()
        self._num_bytes = 0
        self._closed = False

    def put(self, sequence: int, batch: pa.RecordBatch) -> None:
        """Adds a batch made of morsel `sequence`."""
        num_bytes = batch.nbytes
        with self._condition:
            self._num_bytes += num_bytes
            if sequence > self._head:
                self._pending.setdefault(sequence, []).append(batch)
                return
            self._ready.append((sequence, batch))
            self._condition.notify_all()

    def done(self, sequence: int) -> None:
        """Nothing more will be made of morsel `sequence`."""
        with self._condition:
            self._done.add(sequence)
            while self._head in self._done:
                self._done.remove(self._head)
                self._head += 1
                self._make_ready(self._head)
            self._condition.notify_all()

    def producer_finished(self) -> None:
        """One driver will put no more."""
        with self._condition:
            self._producers -= 1
            if self._producers == 0:
                for sequence in sorted(self._pending):
                    self._make_ready(sequence)
            self._condition.notify_all()

    def _make_ready(self, sequence: int) -> None:
        self._ready.extend((sequence, batch) for batch in self._pending.pop(sequence, ()))

    def take(self) -> pa.RecordBatch | None:
        """The next batch in order; None if it is not there yet or there are no more."""
        with self._condition:
            if not self._ready:
                return None
            _, batch = self._ready.popleft()
            self._num_bytes -= batch.nbytes
            self._condition.notify_all()
            return batch

    def is_empty(self) -> bool:
        """Whether `take` would return None."""
        return not self._ready

    def is_finished(self) -> bool:
        """Whether no batch will ever come out again."""
        return self._closed or (self._producers == 0 and not self._ready)

    def is_full(self, sequence: int) -> bool:
        """Whether the driver that works on morsel `sequence` must wait."""
        with self._condition:
            oldest = min(self._head, self._ready[0][0]) if self._ready else self._head
            return not self._closed and sequence >= oldest + self.window

    def is_closed(self) -> bool:
        """Whether the consumer has had enough."""
        return self._closed

    def num_bytes(self) -> int:
        """Bytes of the batches inside."""
        return self._num_bytes

    def wait_for_output(self) -> None:
        """Returns once there is a batch to take, or never will be."""
        self._wait_for(lambda: bool(self._ready) or self.is_finished())

    def wait_for_room(self, sequence: int) -> None:
        """Returns once the driver that works on morsel `sequence` may go on."""
        self._wait_for(lambda: not self.is_full(sequence))

    def wait_for_room_or_output(self, sequence: int) -> None:
        """As both, whichever comes first: for the thread that takes the output too."""
        self._wait_for(lambda: bool(self._ready) or not self.is_full(sequence))

    def _wait_for(self, predicate: Callable[[], bool]) -> None:
        with self._condition:
            while not self._condition.wait_for(predicate, WAIT_SECONDS):
                pass

    def close(self) -> None:
        """Frees all who wait; nothing comes out any more."""
        with self._condition:
            self._closed = True
            self._ready.clear()
            self._pending.clear()
            self._condition.notify_all()


class LocalPartition(Operator):
    """Last operator of a pipeline: puts what its driver made into the exchange."""

    operator_type = "LocalPartition"

    def __init__(
        self, plan_node_id: str, exchange: OrderedExchange, source: SourceOperator
    ) -> None:
        super().__init__(plan_node_id)
        self._exchange = exchange
        self._source = source
        self._reported = False

    def is_blocked(self) -> bool:
        """While this driver is too far ahead."""
        return self._exchange.is_full(self._source.sequence)

    def wait(self) -> None:
        """Until the others have caught up."""
        self._exchange.wait_for_room(self._source.sequence)

    def needs_input(self) -> bool:
        """Until there is no more."""
        return not (self._no_more_input or self._exchange.is_closed())

    def add_input(self, batch: pa.RecordBatch) -> None:
        """Hands the batch on."""
        self._exchange.put(max(self._source.sequence, 0), batch)

    def get_output(self) -> pa.RecordBatch | None:
        """None: the output is the exchange's."""
        return None

    def is_finished(self) -> bool:
        """Once there is no more input, or nobody wants it."""
        return self._no_more_input or self._exchange.is_closed()

    def close(self) -> None:
        """Reports this driver as finished, once."""
        if not self._reported:
            self._reported = True
            self._exchange.producer_finished()


class LocalExchange(SourceOperator):
    """First operator of the next pipeline: takes batches out of the exchange."""

    operator_type = "LocalExchange"

    def __init__(
        self,
        plan_node_id: str,
        exchange: OrderedExchange,
        on_drained: Callable[[int], None] | None,
    ) -> None:
        super().__init__(plan_node_id, on_drained)
        self.exchange = exchange

    def is_blocked(self) -> bool:
        """While the next batch in order is not there."""
        return self.exchange.is_empty() and not self.exchange.is_finished()

    def wait(self) -> None:
        """Until it is."""
        self.exchange.wait_for_output()

    def get_output(self) -> pa.RecordBatch | None:
        """The next batch in order."""
        self.memory_bytes = self.exchange.num_bytes()
        batch = self.exchange.take()
        if batch is not None:
            self.begin(self.sequence + 1)
        return batch

    def is_finished(self) -> bool:
        """Once no more will come."""
        return self.exchange.is_finished()

    def close(self) -> None:
        """Reports the last batch as done, and stops the drivers that feed the exchange."""
        super().close()
        self.exchange.close()
