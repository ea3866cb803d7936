"""The top-of-rack router: an independent BIRD with its own configuration, that trusts no node."""

from __future__ import annotations

from sandbox.processes import Program
from sandbox.state import REPOSITORY, State, write
from sandbox.topology import (
    BLOCK_LENGTH_V4,
    BLOCK_LENGTH_V6,
    NODE_ASN,
    PODS_V4,
    PODS_V6,
    TOR_ASN,
    TOR_V4,
    TOR_V6,
    Topology,
)

TEMPLATE = REPOSITORY / "sandbox" / "templates" / "tor.conf"
CONTROL = "/run/bird.ctl"


def configuration(plan: Topology, template: str) -> str:
    """bird.conf of the router: the fixed part, then two sessions for every node."""
    values = {
        "ROUTER_ID": TOR_V4,
        "TOR_V4": TOR_V4,
        "TOR_V6": TOR_V6,
        "TOR_ASN": TOR_ASN,
        "NODE_ASN": NODE_ASN,
        "ACCEPT_V4": f"{PODS_V4}{{{BLOCK_LENGTH_V4},{BLOCK_LENGTH_V4}}}",
        "ACCEPT_V6": f"{PODS_V6}{{{BLOCK_LENGTH_V6},{BLOCK_LENGTH_V6}}}",
    }
    for name, value in values.items():
        template = template.replace(f"@{name}@", str(value))
    sessions = "".join(
        f"protocol bgp {node.name}_v4 from node_v4 {{ neighbor {node.v4} as {NODE_ASN}; }}\n"
        f"protocol bgp {node.name}_v6 from node_v6 {{ neighbor {node.v6} as {NODE_ASN}; }}\n"
        for node in plan.nodes
    )
    return template + sessions


def write_configuration(place: State, plan: Topology) -> None:
    write(place.etc / "tor.conf", configuration(plan, TEMPLATE.read_text()))


def program(place: State) -> Program:
    argv = ("/usr/sbin/bird", "-f", "-R", "-c", str(place.etc / "tor.conf"), "-s", CONTROL)
    return Program("tor", "bird", argv, "its configuration is refused: the log names the line")
