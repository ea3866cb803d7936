"""A node whose agent is only its BGP target: what the BGP tests act on."""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec

from fairlead_agent.ports.bird import Bird
from fairlead_agent.targets.bgp import Bgp
from fairlead_core import api
from tests.netns.bgp.fabric import Fabric, eventually

BLOCK4, SECOND4, BLOCK6 = "10.244.0.0/26", "10.244.0.64/26", "fd00:244::/122"
TOR4 = api.Peer(
    name="tor-v4",
    address="10.250.0.1",
    peer_asn=65000,
    bfd=api.BFD(enabled=True),
    accepted_prefix_lengths=api.PrefixLengths(26, 26),
)
TOR6 = msgspec.structs.replace(
    TOR4, name="tor-v6", address="fd00:250::1", accepted_prefix_lengths=api.PrefixLengths(122, 122)
)


def spec(*blocks: str, peers: tuple[api.Peer, ...] = (TOR4, TOR6)) -> api.NodeNetworkSpec:
    """The desired state of a node that holds these blocks."""
    return api.NodeNetworkSpec(
        revision=1,
        blocks=tuple(api.Block(block, "six" if ":" in block else "four") for block in blocks),
        pools=(api.NodePool("four", "IPv4", communities=("64500:1",)), api.NodePool("six", "IPv6")),
        bgp=api.NodeBGP(65001, "10.250.0.11", peers),
    )


@dataclass
class Node:
    """A fabric with an agent's BGP target on its node; `secrets` is what the API server holds."""

    fabric: Fabric
    secrets: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.restart_agent()

    def restart_agent(self) -> None:
        self.bgp = Bgp(Bird(self.fabric.directory), self._secret, "node1")

    def _secret(self, ref: api.SecretRef) -> str | None:
        return self.secrets.get(f"{ref.name}/{ref.key}")

    def session(self, peer: str) -> api.PeerStatus:
        return next(status for status in self.bgp.peers() if status.name == peer)

    def await_established(self, *peers: str) -> float:
        """Seconds until these sessions (or those with the router) are up."""
        wanted = peers or ("tor-v4", "tor-v6")
        return eventually(
            lambda: all(self.session(peer).session == "Established" for peer in wanted),
            f"sessions {' '.join(wanted)} are up",
        )
