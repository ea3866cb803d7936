"""The network between the machines: one `ip -batch` per machine, addresses usable at once.

Each link to the router is point to point: /32 and /128 with the router as the peer, as in a routed fabric.
"""

from __future__ import annotations

from ipaddress import IPv6Address

from sandbox.shell import attempt, run
from sandbox.topology import (
    EXT_GATEWAY_V4,
    EXT_GATEWAY_V6,
    TOR_V4,
    TOR_V6,
    Machine,
    Topology,
)

UPLINK = "eth0"
# Forwarding is the router's job here; on nodes the agent switches it on, as it would on any machine.
ROUTER_SYSCTLS = ("net/ipv4/ip_forward=1", "net/ipv6/conf/all/forwarding=1")
# Duplicate address detection would keep fresh addresses unusable for a second.
ALL_SYSCTLS = (
    "net/ipv6/conf/all/disable_ipv6=0",
    "net/ipv6/conf/default/disable_ipv6=0",
    "net/ipv6/conf/all/accept_dad=0",
    "net/ipv6/conf/default/accept_dad=0",
    "net/ipv6/conf/default/accept_ra=0",
    "net/ipv6/conf/default/router_solicitations=0",
)


def create_namespace(machine: Machine) -> None:
    """Make the machine's network namespace with loopback up; does nothing when it is there."""
    if machine.namespace in namespaces():
        return
    run(["ip", "netns", "add", machine.namespace])
    sysctls = ALL_SYSCTLS + (ROUTER_SYSCTLS if machine.name == "tor" else ())
    script = "\n".join(f"echo {line.split('=')[1]} >/proc/sys/{line.split('=')[0]}" for line in sysctls)
    run(["nsenter", f"--net=/run/netns/{machine.namespace}", "sh", "-e"], stdin=script)
    run(["ip", "-n", machine.namespace, "link", "set", "lo", "up"])


def namespaces() -> set[str]:
    """Names of all network namespaces that `ip netns` knows."""
    return {line.split()[0] for line in run(["ip", "netns", "list"]).splitlines() if line.strip()}


def connect(plan: Topology, machine: Machine) -> None:
    """Wire a machine to the router; does nothing when it is wired."""
    if attempt(["ip", "-n", plan.tor.namespace, "link", "show", "dev", machine.name]).returncode == 0:
        return
    near, far = machine.namespace, plan.tor.namespace
    run(["ip", "-n", far, "link", "add", machine.name, "type", "veth", "peer", "name", UPLINK, "netns", near])
    _batch(near, [f"link set {UPLINK} up"])
    _batch(far, router_side(machine))
    _batch(near, machine_side(machine))


def router_side(machine: Machine) -> list[str]:
    """Lines for `ip -batch` in the router: the link up, its address, the way to the machine."""
    link = machine.name
    up = f"link set {link} mtu 1500 up"
    if machine.name == "ext":
        return [up, _address(link, f"{EXT_GATEWAY_V4}/24"), _address(link, f"{EXT_GATEWAY_V6}/64 nodad")]
    return [
        up,
        _address(link, f"{TOR_V4} peer {machine.v4}/32"),
        _address(link, f"{TOR_V6} peer {machine.v6}/128 nodad"),
        _peer_route(link, machine.v6),
    ]


def machine_side(machine: Machine) -> list[str]:
    """Lines for `ip -batch` in the machine: the link up, its addresses, all else by way of the router."""
    if machine.name == "ext":
        addresses = [_address(UPLINK, f"{machine.v4}/24"), _address(UPLINK, f"{machine.v6}/64 nodad")]
        via4, via6 = EXT_GATEWAY_V4, EXT_GATEWAY_V6
    else:
        addresses = [
            _address(UPLINK, f"{machine.v4} peer {TOR_V4}/32"),
            _address(UPLINK, f"{machine.v6} peer {TOR_V6}/128 nodad"),
            _peer_route(UPLINK, TOR_V6),
        ]
        via4, via6 = TOR_V4, TOR_V6
    return [
        f"link set {UPLINK} mtu 1500 up",
        *addresses,
        f"route replace default via {via4} dev {UPLINK} src {machine.v4}",
        # onlink: the kernel sees a fresh carrier a moment later, and until then knows no way to the router.
        f"route replace default via {via6} dev {UPLINK} src {machine.v6} onlink",
    ]


def _address(link: str, address: str) -> str:
    return f"address replace {address} dev {link}"


def _peer_route(link: str, peer: IPv6Address) -> str:
    # Linux 6.18 adds it by itself only when the carrier was there before the address.
    return f"route replace {peer}/128 dev {link} proto kernel metric 256"


def connect_host(plan: Topology) -> None:
    """Give the host's kubectl a way to the API server, and nothing a way further: core forwards nothing."""
    if attempt(["ip", "link", "show", "dev", plan.host_link]).returncode == 0:
        return
    link, core = plan.host_link, plan.core.namespace
    _batch(None, [f"link add {link} type veth peer name host netns {core}"])
    _batch(core, [f"address add {plan.core_address}/31 dev host", "link set host up"])
    _batch(None, [f"address add {plan.host_address}/31 dev {link}", f"link set {link} up"])


def set_link(plan: Topology, machine: Machine, state: str) -> None:
    """Pull or plug the machine's cable at the router: the carrier goes on both sides."""
    if state == "down":
        run(["ip", "-n", plan.tor.namespace, "link", "set", machine.name, "down"])
    else:
        # The kernel drops IPv6 addresses of a link that goes down.
        _batch(plan.tor.namespace, router_side(machine))


def disconnect(plan: Topology, machine: Machine) -> None:
    """Take the machine's cable away; nothing happens when it has none."""
    attempt(["ip", "-n", plan.tor.namespace, "link", "delete", machine.name])


def disconnect_host(plan: Topology) -> None:
    """Take away the host's way to the API server; nothing happens when there is none."""
    attempt(["ip", "link", "delete", plan.host_link])


def delete_namespace(namespace: str) -> None:
    """Forget the network namespace; it ends with its last process. Nothing happens when it is not there."""
    if namespace in namespaces():
        run(["ip", "netns", "delete", namespace])


def _batch(namespace: str | None, lines: list[str]) -> None:
    inside = ["-n", namespace] if namespace else []
    run(["ip", *inside, "-batch", "-"], stdin="\n".join(lines) + "\n")
