"""Does the kernel hold what a lease says? CHECK's questions, as pure functions."""

from __future__ import annotations

from collections.abc import Sequence

from fairlead_agent.ports.kernel import KernelRoute, Link, PodView
from fairlead_core.lease import Lease


def pod_faults(lease: Lease, view: PodView) -> list[str]:
    """What the pod's namespace lacks of `lease`."""
    name, link = lease.owner.ifname, view.link
    if link is None:
        return [f"interface {name} is missing in the pod's namespace"]
    faults = [] if link.up else [f"interface {name} is down"]
    if link.mac != lease.pod_mac:
        faults.append(f"interface {name} has MAC {link.mac}, not {lease.pod_mac}")
    faults += [f"address {a} is missing on {name}" for a in lease.addresses if a not in view.addresses]
    families = {gateway.version for gateway in view.gateways}
    missing = [a.version for a in lease.addresses if a.version not in families]
    return faults + [f"the IPv{version} default route out of {name} is missing" for version in missing]


def host_faults(lease: Lease, link: Link | None, routes: Sequence[KernelRoute]) -> list[str]:
    """What the node lacks of `lease`; `link` is the host's end, `routes` those of protocol 76."""
    if link is None:
        return [f"link {lease.host_ifname} is missing on the node"]
    faults = [] if link.up else [f"link {lease.host_ifname} is down on the node"]
    routed = {str(r.network.network_address) for r in routes if r.ifindex == link.index}
    missing = [a for a in lease.addresses if str(a) not in routed]
    return faults + [f"the node's route to {address} is missing" for address in missing]
