"""What is left of a pool: its free blocks, lowest first."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator

from fairlead_core.pools import Pool
from fairlead_core.spans import Span, cidr_of, gaps


class Occupied:
    """All spans that somebody holds, whoever and from whichever pool, as disjoint ranges per family."""

    def __init__(self, spans: Iterable[Span]) -> None:
        self._merged: dict[int, list[tuple[int, int]]] = {4: [], 6: []}
        for span in sorted(spans):
            ranges = self._merged[span.version]
            if ranges and span.first <= ranges[-1][1]:
                ranges[-1] = (ranges[-1][0], max(ranges[-1][1], span.last))
            else:
                ranges.append((span.first, span.last))

    def inside(self, span: Span) -> Iterator[tuple[int, int]]:
        """The occupied ranges that touch `span`, ascending."""
        ranges = self._merged[span.version]
        at = bisect_left(ranges, (span.first, 0))
        at -= 1 if at and ranges[at - 1][1] >= span.first else 0
        while at < len(ranges) and ranges[at][0] <= span.last:
            yield ranges[at]
            at += 1


class Space:
    """The free blocks of one pool; `take` hands out the lowest."""

    def __init__(self, pool: Pool, occupied: Occupied) -> None:
        self._pool = pool
        self._free = [(span, gap) for span in pool.spans for gap in _free_indexes(pool, span, occupied)]
        self._free.reverse()
        self.free_blocks = sum(len(gap) for _, gap in self._free)
        self.total_blocks = sum(span.size // pool.block_addresses for span in pool.spans)

    def take(self) -> tuple[str, Span] | None:
        """The lowest free block with an address to give; None when nothing is left."""
        while self._free:
            span, gap = self._free.pop()
            if len(gap) > 1:
                self._free.append((span, gap[1:]))
            self.free_blocks -= 1
            block = _block(self._pool, span, gap[0])
            if self._pool.capacity(block):
                return cidr_of(block.version, block.first, self._pool.block_size), block
        return None


def _block(pool: Pool, span: Span, index: int) -> Span:
    first = span.first + index * pool.block_addresses
    return Span(span.version, first, first + pool.block_addresses - 1)


def _free_indexes(pool: Pool, span: Span, occupied: Occupied) -> Iterator[range]:
    size = pool.block_addresses
    touched = [
        ((low - span.first) // size, (high - span.first) // size) for low, high in occupied.inside(span)
    ]
    whole = [
        (-(-(part.first - span.first) // size), (part.last + 1 - span.first) // size - 1)
        for part in pool.reserved
        if span.contains(part)
    ]
    yield from gaps(range(span.size // size), touched + [(low, high) for low, high in whole if low <= high])
