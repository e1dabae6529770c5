"""LocalPartition and LocalExchange: what several drivers make, joined in the order of the scans."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from threading import Condition
from typing import cast

import pyarrow as pa

from columnar_nn.exec.operators.base import Bridge, DriverContext, SinkOperator, SourceOperator
from columnar_nn.exec.operators.registry import feeds, runs
from columnar_nn.plan.nodes import LocalPartitionNode


def window(num_producers: int) -> int:
    """How many morsels a driver may be ahead of the oldest that is unfinished, or not yet taken."""
    return 2 * num_producers + 2


class _SourceQueue:
    """The batches of one source, in the order of the morsels they were made of.

    Not locked: the exchange does that.
    """

    def __init__(self, num_producers: int) -> None:
        self._window = window(num_producers)
        self.ready: deque[tuple[int, pa.RecordBatch]] = deque()
        self._producers = num_producers
        self._pending: dict[int, list[pa.RecordBatch]] = {}
        self._done: set[int] = set()
        self._head = 0

    def put(self, sequence: int, batch: pa.RecordBatch) -> bool:
        """Whether the batch is ready at once."""
        is_ready = sequence <= self._head
        if is_ready:
            self.ready.append((sequence, batch))
        else:
            self._pending.setdefault(sequence, []).append(batch)
        return is_ready

    def done(self, sequence: int) -> None:
        self._done.add(sequence)
        while self._head in self._done:
            self._done.remove(self._head)
            self._head += 1
            self._make_ready(self._head)

    def producer_finished(self) -> None:
        if self._producers == 1:
            for sequence in sorted(self._pending):
                self._make_ready(sequence)
        self._producers -= 1  # last: who sees that there is none left finds all ready

    def _make_ready(self, sequence: int) -> None:
        self.ready.extend((sequence, batch) for batch in self._pending.pop(sequence, ()))

    def is_finished(self) -> bool:
        return self._producers == 0 and not self.ready

    def is_full(self, sequence: int) -> bool:
        oldest = min(self._head, self.ready[0][0]) if self.ready else self._head
        return sequence >= oldest + self._window

    def clear(self) -> None:
        self.ready.clear()
        self._pending.clear()


class OrderedExchange(Bridge):
    """Bounded queues between the drivers of some pipelines and the driver of the next.

    Batches carry the number of the morsel they were made of. They leave source by source, each
    source's in the order of these numbers. Drivers that are too far ahead are blocked, also those
    of a source whose turn has not come, which bounds the memory whatever the number of rows.
    """

    def __init__(self, num_producers: Sequence[int], changed: Condition) -> None:
        """`num_producers` is the number of drivers of each source."""
        self._queues = [_SourceQueue(number) for number in num_producers]
        self._turn = 0
        self._changed = changed
        self._num_bytes = 0
        self._closed = False

    def put(self, position: int, sequence: int, batch: pa.RecordBatch) -> None:
        """Adds a batch made of morsel `sequence` of source `position`."""
        num_bytes = batch.nbytes
        with self._changed:
            self._num_bytes += num_bytes
            if self._queues[position].put(sequence, batch):
                self._changed.notify_all()

    def done(self, position: int, sequence: int) -> None:
        """Nothing more will be made of morsel `sequence` of source `position`."""
        with self._changed:
            self._queues[position].done(sequence)
            self._changed.notify_all()

    def producer_finished(self, position: int) -> None:
        """One driver of source `position` will put no more."""
        with self._changed:
            self._queues[position].producer_finished()
            self._take_turns()
            self._changed.notify_all()

    def _take_turns(self) -> None:
        while self._turn + 1 < len(self._queues) and self._queues[self._turn].is_finished():
            self._turn += 1

    def take(self) -> pa.RecordBatch | None:
        """The next batch in order; None if it is not there yet or there are no more."""
        with self._changed:
            ready = self._queues[self._turn].ready
            if not ready:
                return None
            _, batch = ready.popleft()
            self._num_bytes -= batch.nbytes
            self._take_turns()
            self._changed.notify_all()
            return batch

    def is_empty(self) -> bool:
        """Whether `take` would return None."""
        return not self._queues[self._turn].ready

    def is_finished(self) -> bool:
        """Whether no batch will ever come out again."""
        is_last = self._turn == len(self._queues) - 1
        return self._closed or (is_last and self._queues[-1].is_finished())

    def is_full(self, position: int, sequence: int) -> bool:
        """Whether the driver that works on morsel `sequence` of source `position` must wait."""
        with self._changed:
            return not self._closed and self._queues[position].is_full(sequence)

    def is_closed(self) -> bool:
        """Whether the consumer has had enough."""
        return self._closed

    def num_bytes(self) -> int:
        """Bytes of the batches inside."""
        return self._num_bytes

    def close(self) -> None:
        """Frees all who wait; nothing comes out any more."""
        with self._changed:
            self._closed = True
            for queue in self._queues:
                queue.clear()
            self._changed.notify_all()


@feeds(LocalPartitionNode)
class LocalPartition(SinkOperator):
    """Last operator of a pipeline: puts what its driver made into the exchange."""

    operator_type = "LocalPartition"

    def __init__(
        self, node: LocalPartitionNode, context: DriverContext, source: SourceOperator
    ) -> None:
        super().__init__(node, context, source)
        self._exchange = cast(OrderedExchange, context.bridges[node.id])
        self._position = context.position
        self._source = source
        self._reported = False

    @staticmethod
    def make_bridge(num_drivers: Sequence[int], changed: Condition) -> OrderedExchange:
        """The exchange."""
        return OrderedExchange(num_drivers, changed)

    def is_blocked(self) -> bool:
        """While this driver is too far ahead."""
        return self._exchange.is_full(self._position, self._source.sequence)

    def needs_input(self) -> bool:
        """Until there is no more."""
        return not (self._no_more_input or self._exchange.is_closed())

    def add_input(self, batch: pa.RecordBatch) -> None:
        """Hands the batch on."""
        self._exchange.put(self._position, max(self._source.sequence, 0), batch)

    def is_finished(self) -> bool:
        """Once there is no more input, or nobody wants it."""
        return self._no_more_input or self._exchange.is_closed()

    def close(self) -> None:
        """Reports this driver as finished, once."""
        if not self._reported:
            self._reported = True
            self._exchange.producer_finished(self._position)


@runs(LocalPartitionNode)
class LocalExchange(SourceOperator):
    """First operator of the next pipeline: takes batches out of the exchange."""

    operator_type = "LocalExchange"

    def __init__(self, node: LocalPartitionNode, context: DriverContext) -> None:
        super().__init__(node, context)
        self._exchange = cast(OrderedExchange, context.bridges[node.id])

    def is_blocked(self) -> bool:
        """While the next batch in order is not there."""
        return self._exchange.is_empty() and not self._exchange.is_finished()

    def get_output(self) -> pa.RecordBatch | None:
        """The next batch in order."""
        self.memory_bytes = self._exchange.num_bytes()
        batch = self._exchange.take()
        if batch is not None:
            self.begin(self.sequence + 1)
        return batch

    def is_finished(self) -> bool:
        """Once no more will come."""
        return self._exchange.is_finished()

    def close(self) -> None:
        """Reports the last batch as done, and stops the drivers that feed the exchange."""
        super().close()
        self._exchange.close()
