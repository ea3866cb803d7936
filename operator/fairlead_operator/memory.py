"""What a leader knows beyond its watches: own writes, doubtful writes, objects that vanished under a
living node."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from fairlead_core.api import Block, NodeNetwork

DOUBT_S: Final = 60.0  # an API server ends any request within a minute
GHOST_S: Final = 600.0  # an agent that lives reports what it holds long before
SETTLE_S: Final = 60.0
SETTLE_AGAIN_S: Final = 600.0
RESTORED_NODES_MIN: Final = 2
RESTORED_SHARE: Final = 0.05


@dataclass(frozen=True, slots=True)
class Claim:
    """Blocks that a node may hold; of no use any more once the node's object names them."""

    blocks: tuple[Block, ...]
    until_s: float


class Memory:
    """Merges what is known into the view of a watch. Time is monotonic seconds, an argument."""

    def __init__(self) -> None:
        self._written: dict[str, NodeNetwork] = {}
        self._deleted: dict[str, str] = {}
        self._claims: dict[str, Claim] = {}
        self._last: dict[str, NodeNetwork] = {}
        self._settle_until_s = self._settle_again_s = float("-inf")
        self.hold_grants = ""

    def wrote(self, item: NodeNetwork) -> None:
        self._written[item.metadata.name] = item

    def uncertain(self, name: str, blocks: Iterable[Block], now_s: float) -> None:
        older = self._claims[name].blocks if name in self._claims else ()
        known = {block.cidr: block for block in (*older, *blocks)}
        self._claims[name] = Claim(tuple(known.values()), now_s + DOUBT_S)

    def deleted(self, name: str, uid: str) -> None:
        self._deleted[name] = uid
        self._written.pop(name, None)
        self._last.pop(name, None)

    def conflicted(self, name: str) -> None:
        """The object is not what we believe: only the watch counts from now on."""
        self._written.pop(name, None)

    def claims(self) -> dict[str, tuple[Block, ...]]:
        return {name: claim.blocks for name, claim in self._claims.items()}

    def merge(self, seen: Mapping[str, NodeNetwork], now_s: float) -> dict[str, NodeNetwork]:
        """The NodeNetworks to plan with."""
        merged = dict(seen)
        self._overlay(merged)
        self._find_ghosts(merged, now_s)
        self._forget(merged, now_s)
        self._watch_for_a_restore(merged, now_s)
        self._last = merged
        return dict(merged)

    def _overlay(self, merged: dict[str, NodeNetwork]) -> None:
        for name, mine in list(self._written.items()):
            theirs = merged.get(name)
            if theirs is None and name in self._last and self._last[name] is not mine:
                del self._written[name]  # it was there and is gone: somebody deleted it
            elif theirs is not None and _version(theirs) >= _version(mine):
                del self._written[name]
            else:
                merged[name] = mine
        for name, uid in list(self._deleted.items()):
            if name in merged and merged[name].metadata.uid == uid:
                del merged[name]
            else:
                del self._deleted[name]

    def _find_ghosts(self, merged: Mapping[str, NodeNetwork], now_s: float) -> None:
        """Objects that somebody else deleted, or that were replaced by an older state of themselves.

        Also without a Node: its machine may live on, and its blocks wait as long as our own grace is.
        """
        for name, last in self._last.items():
            item = merged.get(name)
            if item is None or item.spec.revision < last.spec.revision:
                self._claims[name] = Claim(blocks_of(last), now_s + GHOST_S)

    def _forget(self, merged: Mapping[str, NodeNetwork], now_s: float) -> None:
        for name, claim in list(self._claims.items()):
            item = merged.get(name)
            named = {block.cidr for block in blocks_of(item)} if item else set()
            if now_s >= claim.until_s or (item and all(block.cidr in named for block in claim.blocks)):
                del self._claims[name]

    def _watch_for_a_restore(self, merged: Mapping[str, NodeNetwork], now_s: float) -> None:
        """Many agents ahead of their specs: etcd was restored, and knows nothing of the newest grants.

        No block is granted until the agents had time to say what they hold; not again for ten minutes, so
        that agents that lie cannot keep others without addresses.
        """
        ahead = sum(item.status.revision > item.spec.revision for item in merged.values())
        if ahead >= max(RESTORED_NODES_MIN, RESTORED_SHARE * len(merged)) and now_s >= self._settle_again_s:
            self._settle_until_s, self._settle_again_s = now_s + SETTLE_S, now_s + SETTLE_AGAIN_S
        holding = now_s < self._settle_until_s
        self.hold_grants = "agents are ahead of their specs, as after a restored backup" if holding else ""


def blocks_of(item: NodeNetwork) -> tuple[Block, ...]:
    """All blocks that the object names, in spec or status."""
    blocks = {block.cidr: block for block in item.spec.blocks}
    for held in item.status.blocks:
        blocks.setdefault(held.cidr, Block(held.cidr, held.pool))
    return tuple(blocks.values())


def _version(item: NodeNetwork) -> int:
    version = item.metadata.resource_version
    return int(version) if version.isdigit() else 0
