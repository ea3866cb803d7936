"""The part of a core/v1 Pod that tells who holds an address, and whether an agent runs."""

import msgspec

from fairlead_core.api import Metadata, Wire

FINISHED = ("Succeeded", "Failed")


class PodIP(Wire, frozen=True):
    ip: str = ""


class PodCondition(Wire, frozen=True):
    type: str
    status: str


class PodSpec(Wire, frozen=True):
    node_name: str = ""
    host_network: bool = False


class PodStatus(Wire, frozen=True):
    phase: str = ""
    pod_ips: tuple[PodIP, ...] = msgspec.field(name="podIPs", default=())
    conditions: tuple[PodCondition, ...] = ()


class Pod(Wire, frozen=True):
    metadata: Metadata
    spec: PodSpec = PodSpec()
    status: PodStatus = PodStatus()


def full_name(pod: Pod) -> str:
    return f"{pod.metadata.namespace}/{pod.metadata.name}"


def addresses(pod: Pod) -> tuple[str, ...]:
    """Addresses that the pod holds of its own: none on the node's network, none once it has ended."""
    if pod.spec.host_network or pod.status.phase in FINISHED:
        return ()
    return tuple(one.ip for one in pod.status.pod_ips if one.ip)


def is_ready(pod: Pod) -> bool:
    return any(one.type == "Ready" and one.status == "True" for one in pod.status.conditions)
