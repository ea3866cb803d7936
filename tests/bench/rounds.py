"""Interleaved rounds, and what may be concluded from them.

Each round runs one block of every contender in random order; the statistic is the median of the per-round
ratios with a bootstrap interval. A block in which somebody else used the machine is disturbed; its round is
left out as long as enough clean rounds remain, otherwise all rounds count and the result says so.
"""

from __future__ import annotations

import os
import resource
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random

STEAL_MAX = 0.01
FOREIGN_MAX = 0.03
CLEAN_ROUNDS_MIN = 15
SAME = 0.04  # how far the reference may be from itself
_TICK_S = 1 / os.sysconf("SC_CLK_TCK")


@dataclass(slots=True)
class Block:
    """What one block measured: operations per second, seconds of each operation, and how quiet it was.

    `tidy` is what has to be done before the next block and is not measured.
    """

    rate: float
    latencies_s: list[float]
    tidy: Callable[[], None] | None = None
    foreign: float = 0.0
    steal: float = 0.0

    @property
    def is_clean(self) -> bool:
        return self.foreign <= FOREIGN_MAX and self.steal <= STEAL_MAX


@dataclass(slots=True)
class Rounds:
    """Blocks by contender; the same index is the same round."""

    blocks: dict[str, list[Block]] = field(default_factory=dict)

    @property
    def clean(self) -> list[int]:
        """Rounds in which no contender was disturbed."""
        count = len(next(iter(self.blocks.values())))
        return [n for n in range(count) if all(blocks[n].is_clean for blocks in self.blocks.values())]

    @property
    def used(self) -> list[int]:
        clean = self.clean
        return clean if len(clean) >= CLEAN_ROUNDS_MIN else list(range(len(next(iter(self.blocks.values())))))

    def rates(self, contender: str) -> list[float]:
        return [self.blocks[contender][n].rate for n in self.used]

    def latencies_s(self, contender: str) -> list[list[float]]:
        """Per used round, the seconds of each operation."""
        return [self.blocks[contender][n].latencies_s for n in self.used]

    def note(self, reference: str, again: str) -> str:
        """Why the figures of these rounds are not to be believed; empty when they are."""
        low, high = bootstrap(ratios(self.rates(again), self.rates(reference)))
        if not 1 - SAME <= low <= high <= 1 + SAME:
            return f"not valid: A/A interval {low:.3f} .. {high:.3f} leaves 1 +- {SAME:.0%}{self._why()}"
        return "disturbed by other work on the machine" if len(self.clean) < CLEAN_ROUNDS_MIN else ""

    def _why(self) -> str:
        busy = statistics.median(block.foreign for blocks in self.blocks.values() for block in blocks)
        return f", other work took {busy:.0%} of the machine" if busy > FOREIGN_MAX else ""

    def conditions(self) -> dict[str, object]:
        every = [block for blocks in self.blocks.values() for block in blocks]
        return {
            "rounds": len(next(iter(self.blocks.values()))),
            "clean_rounds": len(self.clean),
            "disturbed": len(self.clean) < CLEAN_ROUNDS_MIN,
            "foreign_cpu_median": round(statistics.median(block.foreign for block in every), 3),
            "steal_median": round(statistics.median(block.steal for block in every), 3),
        }


def interleave(
    contenders: Mapping[str, Callable[[], Block]],
    rounds: int,
    own_pids: Callable[[], Sequence[int]] = tuple,
    seed: int = 1,
) -> Rounds:
    """Runs every contender once per round. `own_pids` are processes that work for us beside our children."""
    dice, found = Random(seed), Rounds({name: [] for name in contenders})
    for _ in range(rounds):
        order = list(contenders)
        dice.shuffle(order)
        for name in order:
            block = _watched(contenders[name], own_pids)
            found.blocks[name].append(block)
            if block.tidy:
                block.tidy()
    return found


def ratios(over: Sequence[float], under: Sequence[float]) -> list[float]:
    """Per round, `over` divided by `under`."""
    return [a / b for a, b in zip(over, under, strict=True)]


def bootstrap(
    values: Sequence[float],
    statistic: Callable[[Sequence[float]], float] = statistics.median,
    draws: int = 2000,
) -> tuple[float, float]:
    """95 % interval of `statistic` over `values`, by resampling with a fixed seed."""
    dice = Random(7)
    found = sorted(statistic(dice.choices(values, k=len(values))) for _ in range(draws))
    return found[int(draws * 0.025)], found[int(draws * 0.975)]


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least `share` (0..1) of the values do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, -(-len(ordered) * int(share * 1000) // 1000) - 1)]


def pooled(blocks: Sequence[Sequence[float]], share: float) -> tuple[float, tuple[float, float]]:
    """A percentile over all blocks together, and its interval by resampling whole blocks."""
    every = [value for block in blocks for value in block]
    dice = Random(7)
    found = sorted(
        percentile([value for block in dice.choices(blocks, k=len(blocks)) for value in block], share)
        for _ in range(200)
    )
    return percentile(every, share), (found[5], found[194])


def _watched(block: Callable[[], Block], own_pids: Callable[[], Sequence[int]]) -> Block:
    began, busy, steal, own = time.monotonic(), *_machine(), _own(own_pids())
    result = block()
    elapsed = (time.monotonic() - began) * (os.cpu_count() or 1)
    busy_after, steal_after = _machine()
    ours = _own(own_pids()) - own
    result.foreign = max(0.0, busy_after - busy - ours) / elapsed
    result.steal = (steal_after - steal) / elapsed
    return result


def _machine() -> tuple[float, float]:
    """(busy without steal, steal) CPU seconds of the whole machine."""
    with open("/proc/stat") as stat:
        user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, stat.readline().split()[1:9])
    # Interrupts are work for somebody, but the kernel does not say for whom: they count as nobody's.
    del irq, softirq
    return (user + nice + system) * _TICK_S, steal * _TICK_S


def _own(pids: Sequence[int]) -> float:
    mine = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in mine) + sum(_process_s(pid) for pid in pids)


def _process_s(pid: int) -> float:
    try:
        with open(f"/proc/{pid}/stat") as stat:
            fields = stat.read().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return sum(map(int, fields[11:15])) * _TICK_S
