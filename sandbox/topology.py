"""The address plan: every name and address of a sandbox, computed from its name and its number of nodes.

                    host (only kubectl)
                      | link network, differs per sandbox
                    core ---- tor ---- ext
                             / | \\
                        node1 node2 node3

Pure. A link is a point-to-point pair; the router answers with the same address on each of its links.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

TOR_V4, TOR_V6 = IPv4Address("10.250.0.1"), IPv6Address("fd00:250::1")
CORE_V4, CORE_V6 = IPv4Address("10.250.0.10"), IPv6Address("fd00:250::10")
EXT_V4, EXT_V6 = IPv4Address("10.251.0.2"), IPv6Address("fd00:251::2")
EXT_GATEWAY_V4, EXT_GATEWAY_V6 = IPv4Address("10.251.0.1"), IPv6Address("fd00:251::1")
PODS_V4, PODS_V6 = IPv4Network("10.244.0.0/16"), IPv6Network("fd00:244::/104")
BLOCK_LENGTH_V4, BLOCK_LENGTH_V6 = 26, 122
SERVICES_V4, SERVICES_V6 = IPv4Network("10.96.0.0/16"), IPv6Network("fd00:96::/108")
HOST_LINKS = IPv4Network("10.252.0.0/15")
TOR_ASN, NODE_ASN = 65000, 65001
API_PORT = 6443
MAX_NODES = 200

# Folders of the state directory, which a sandbox's name must therefore not be.
RESERVED = frozenset({"bin", "context", "core", "disk", "e2e", "etc", "ext", "log", "pki", "run", "tor"})
NAME = re.compile(r"[a-z][a-z0-9]{0,7}")


class TopologyError(ValueError):
    """The name or the size that a person asked for cannot be a sandbox."""


@dataclass(frozen=True, slots=True)
class Machine:
    """One machine: its name in the cluster, the name of its network namespace and cgroup, its addresses."""

    name: str
    namespace: str
    v4: IPv4Address
    v6: IPv6Address

    @property
    def is_node(self) -> bool:
        return self.name.startswith("node")


@dataclass(frozen=True, slots=True)
class Topology:
    """All machines of one sandbox and the link by which the host's kubectl reaches its API server."""

    name: str
    nodes: tuple[Machine, ...]
    core: Machine
    tor: Machine
    ext: Machine
    host_link: str
    host_address: IPv4Address
    core_address: IPv4Address

    @property
    def machines(self) -> tuple[Machine, ...]:
        return (self.tor, self.core, self.ext, *self.nodes)

    def machine(self, name: str) -> Machine:
        """The machine of that name. Raises TopologyError with the names there are."""
        for machine in self.machines:
            if machine.name == name:
                return machine
        known = " ".join(machine.name for machine in self.machines)
        raise TopologyError(f"no machine is called {name}; there are: {known}")


def topology(name: str, nodes: int) -> Topology:
    """The plan for a sandbox called `name` ("" is the default one) with that many nodes.

    Raises TopologyError when the name does not fit into names of interfaces, or the number is out of range.
    """
    if name and (not NAME.fullmatch(name) or name in RESERVED or name.startswith("node")):
        raise TopologyError(f"sandbox name {name!r}: use 1-8 lower-case letters or digits, no machine's name")
    if not 1 <= nodes <= MAX_NODES:
        raise TopologyError(f"{nodes} nodes: a sandbox has 1 to {MAX_NODES}")
    prefix = f"fl-{name}-" if name else "fl-"
    host_address = host_link_network(name)[0]
    return Topology(
        name=name,
        nodes=tuple(_node(prefix, number) for number in range(1, nodes + 1)),
        core=Machine("core", prefix + "core", CORE_V4, CORE_V6),
        tor=Machine("tor", prefix + "tor", TOR_V4, TOR_V6),
        ext=Machine("ext", prefix + "ext", EXT_V4, EXT_V6),
        host_link=prefix + "api",
        host_address=host_address,
        core_address=host_address + 1,
    )


def host_link_network(name: str) -> IPv4Network:
    """The /31 between host and core: the first one by default, else chosen by a hash of the name."""
    if not name:
        return IPv4Network((int(HOST_LINKS.network_address), 31))
    slots = HOST_LINKS.num_addresses // 2 - 1
    slot = 1 + int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big") % slots
    return IPv4Network((int(HOST_LINKS.network_address) + 2 * slot, 31))


def _node(prefix: str, number: int) -> Machine:
    v4 = CORE_V4 + number
    v6 = CORE_V6 + number
    return Machine(f"node{number}", f"{prefix}node{number}", v4, v6)
