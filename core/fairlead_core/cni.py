"""CNI's documents: what a call asks for, and what it is answered. Versions 0.4.0, 1.0.0 and 1.1.0.

    environment + stdin ──parse_call──▶ Call | Failure          ADD ──result──▶ bytes
                                                                error ──error_document──▶ bytes
Source: the CNI specification 1.1.0, sections 2 to 5; containernetworking/cni SPEC.md of 0.4.0 for its result.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from ipaddress import IPv4Address, IPv6Address, ip_interface
from typing import Final

import msgspec

from fairlead_core.lease import CLUSTER_NETWORK

Address = IPv4Address | IPv6Address

VERSIONS: Final = ("0.4.0", "1.0.0", "1.1.0")
NEWEST: Final = VERSIONS[-1]
VERBS: Final = ("ADD", "DEL", "CHECK", "STATUS", "GC", "VERSION")


class Code(IntEnum):
    """Error codes of the specification; 100 and above are ours."""

    INCOMPATIBLE_VERSION = 1
    UNSUPPORTED_FIELD = 2
    UNKNOWN_CONTAINER = 3
    BAD_ENVIRONMENT = 4
    IO = 5
    DECODE = 6
    BAD_CONFIG = 7
    BAD_NETNS = 8
    TRY_LATER = 11
    NOT_AVAILABLE = 50
    NO_ADDRESSES = 51
    EXISTS = 100
    CHECK_FAILED = 101


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a call cannot be carried out. `msg` names object, action and cause; `details` says what to do."""

    code: Code
    msg: str
    details: str = ""


@dataclass(frozen=True, slots=True)
class PodRef:
    """The pod behind a call, as kubelet names it in CNI_ARGS; all "" for other callers."""

    namespace: str = ""
    name: str = ""
    uid: str = ""


@dataclass(frozen=True, slots=True)
class AttachmentKey:
    """One interface of one container: what CNI calls an attachment."""

    container_id: str
    ifname: str


class PrevInterface(msgspec.Struct, frozen=True):
    """An interface of an earlier result; `sandbox` is "" for one of the node's own."""

    name: str = ""
    mac: str = ""
    sandbox: str = ""


class PrevAddress(msgspec.Struct, frozen=True):
    """An address of an earlier result, with its prefix length; `interface` is an index or None."""

    address: str
    interface: int | None = None


class PrevResult(msgspec.Struct, frozen=True):
    """What an earlier ADD answered, as far as CHECK compares it."""

    interfaces: tuple[PrevInterface, ...] = ()
    ips: tuple[PrevAddress, ...] = ()


@dataclass(frozen=True, slots=True)
class Call:
    """One understood call. Fields that the verb does not use are empty; `network` is always there."""

    verb: str
    version: str
    key: AttachmentKey = AttachmentKey("", "")
    netns: str = ""
    pod: PodRef = PodRef()
    prev: PrevResult | None = None
    valid: frozenset[AttachmentKey] = frozenset()
    dns: Mapping[str, object] = field(default_factory=dict)
    network: str = CLUSTER_NETWORK


@dataclass(frozen=True, slots=True)
class Attachment:
    """A pod's attachment as ADD reports it."""

    host_ifname: str
    host_mac: str
    pod_ifname: str
    pod_mac: str
    netns: str
    mtu: int
    addresses: tuple[Address, ...]
    gateways: Mapping[int, Address]


class _ValidAttachment(msgspec.Struct):
    container_id: str = msgspec.field(name="containerID")
    ifname: str


class _Conf(msgspec.Struct, rename="camel"):
    cni_version: str = ""
    name: str = ""
    prev_result: PrevResult | None = None
    dns: dict[str, object] = msgspec.field(default_factory=dict)
    valid: tuple[_ValidAttachment, ...] | None = msgspec.field(name="cni.dev/valid-attachments", default=None)
    # The name in the first drafts of 1.1, which some runtimes still send.
    valid_draft: tuple[_ValidAttachment, ...] | None = msgspec.field(name="cni.dev/attachments", default=None)

    @property
    def attachments(self) -> tuple[_ValidAttachment, ...] | None:
        return self.valid if self.valid is not None else self.valid_draft


# What each verb needs of its environment.
_NEEDS: Final[Mapping[str, tuple[str, ...]]] = {
    "ADD": ("CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME"),
    "DEL": ("CNI_CONTAINERID", "CNI_IFNAME"),
    "CHECK": ("CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME"),
    "STATUS": (),
    "GC": (),
    "VERSION": (),
}
_SINCE_1_1: Final = ("STATUS", "GC")
_CONTAINER_ID: Final = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.\-]{0,238}")
_IFNAME: Final = re.compile(r"(?!\.{1,2}\Z)[!-~]{1,15}")  # printable ASCII without space
_POD_ARGS: Final = ("K8S_POD_NAMESPACE", "K8S_POD_NAME", "K8S_POD_UID", "K8S_POD_INFRA_CONTAINER_ID")
_conf_decoder: Final = msgspec.json.Decoder(_Conf)


def parse_call(env: Mapping[str, str], stdin: bytes) -> Call | Failure:
    """The call in a plugin's environment and standard input, judged in full; a Failure says what is wrong."""
    verb = env.get("CNI_COMMAND", "")
    if verb not in VERBS:
        return _environment(f"CNI_COMMAND {verb!r} is none of {', '.join(VERBS)}")
    conf = _parse_conf(verb, stdin)
    if isinstance(conf, Failure):
        return conf
    faults = _environment_faults(env, _NEEDS[verb])
    if faults:
        return _environment(f"{verb}: {'; '.join(faults)}")
    pod = parse_args(env.get("CNI_ARGS", ""))
    if isinstance(pod, Failure):
        return pod
    return Call(
        verb=verb,
        version=conf.cni_version or NEWEST,
        key=AttachmentKey(env.get("CNI_CONTAINERID", ""), env.get("CNI_IFNAME", "")),
        netns=env.get("CNI_NETNS", ""),
        pod=pod,
        prev=conf.prev_result,
        valid=frozenset(AttachmentKey(a.container_id, a.ifname) for a in conf.attachments or ()),
        dns=conf.dns,
        network=conf.name or CLUSTER_NETWORK,
    )


def parse_args(args: str) -> PodRef | Failure:
    """The pod in CNI_ARGS ("K=V;K=V"). An unknown key needs IgnoreUnknown, as in every plugin."""
    pairs: dict[str, str] = {}
    for part in filter(None, args.split(";")):
        key, separator, value = part.partition("=")
        if not separator:
            return _environment(f"CNI_ARGS: {part!r} is not KEY=VALUE")
        pairs[key] = value
    unknown = [key for key in pairs if key not in (*_POD_ARGS, "IgnoreUnknown")]
    if unknown and pairs.get("IgnoreUnknown", "").lower() not in ("1", "true"):
        return _environment(f"CNI_ARGS: unknown {', '.join(unknown)}, and IgnoreUnknown is not set")
    return PodRef(*(pairs.get(key, "") for key in _POD_ARGS[:3]))


def result(attachment: Attachment, version: str, dns: Mapping[str, object]) -> bytes:
    """ADD's answer in the requested version: both ends of the veth, addresses, default routes, dns."""
    with_mtu = {"mtu": attachment.mtu} if version == "1.1.0" else {}
    host = {"name": attachment.host_ifname, "mac": attachment.host_mac, **with_mtu}
    pod = {"name": attachment.pod_ifname, "mac": attachment.pod_mac, **with_mtu, "sandbox": attachment.netns}
    gateways = [attachment.gateways[address.version] for address in attachment.addresses]
    return msgspec.json.encode(
        {
            "cniVersion": version,
            "interfaces": [host, pod],
            "ips": [_ip(*pair, version) for pair in zip(attachment.addresses, gateways, strict=True)],
            "routes": [{"dst": _DEFAULT[gateway.version], "gw": str(gateway)} for gateway in gateways],
            "dns": dict(dns),
        }
    )


def error_document(failure: Failure, version: str = NEWEST) -> bytes:
    """A failure as the specification wants it on stdout."""
    document = {
        "cniVersion": version,
        "code": int(failure.code),
        "msg": failure.msg,
        "details": failure.details,
    }
    return msgspec.json.encode(document)


def version_document(asked: str) -> bytes:
    """VERSION's answer."""
    return msgspec.json.encode({"cniVersion": asked, "supportedVersions": VERSIONS})


def requested_version(stdin: bytes) -> str:
    """The cniVersion that an error shall be written in: the caller's when we speak it, else our newest."""
    try:
        version = _conf_version.decode(stdin).cni_version
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return NEWEST
    return version if version in VERSIONS else NEWEST


@dataclass(frozen=True, slots=True)
class VethNames:
    """Name and MAC addresses of an attachment's veth pair."""

    host_ifname: str
    host_mac: str
    pod_mac: str


def veth_names(key: AttachmentKey) -> VethNames:
    """Follows from container id and interface name alone, so a repair needs no memory.

    Locally administered, unicast MACs: second bit of the first byte set, first bit clear.
    """
    digest = hashlib.sha256(f"{key.container_id}/{key.ifname}".encode()).digest()
    return VethNames("fl" + digest.hex()[:11], _mac(0xF2, digest[8:13]), _mac(0xF6, digest[16:21]))


def differences(prev: PrevResult, attachment: Attachment) -> tuple[str, ...]:
    """How an earlier result disagrees with what the attachment is now, for CHECK."""
    pods = [i for i in prev.interfaces if i.sandbox and i.name == attachment.pod_ifname]
    found = [] if pods else [f"prevResult has no interface {attachment.pod_ifname} in a sandbox"]
    found += [
        f"prevResult has {i.name} with MAC {i.mac}, the lease {attachment.pod_mac}"
        for i in pods
        if i.mac and i.mac.lower() != attachment.pod_mac
    ]
    have = {str(address) for address in attachment.addresses}
    # A chained plugin may add addresses of its own on other interfaces; ours must all be there.
    listed = {str(ip_interface(ip.address).ip) for ip in prev.ips if _is_interface(ip.address)}
    return (*found, *(f"prevResult lacks address {address}" for address in sorted(have - listed)))


class _ConfVersion(msgspec.Struct, rename="camel"):
    cni_version: str = ""


_conf_version: Final = msgspec.json.Decoder(_ConfVersion)
_DEFAULT: Final = {4: "0.0.0.0/0", 6: "::/0"}


def _parse_conf(verb: str, stdin: bytes) -> _Conf | Failure:
    if verb == "VERSION" and not stdin.strip():
        return _Conf()
    try:
        conf = _conf_decoder.decode(stdin)
    except msgspec.ValidationError as error:
        return Failure(Code.BAD_CONFIG, f"{verb}: network configuration: {error}")
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        return Failure(Code.DECODE, f"{verb}: network configuration on stdin: {error}")
    return _conf_fault(verb, conf) or conf


def _conf_fault(verb: str, conf: _Conf) -> Failure | None:
    if verb == "VERSION":
        return None
    if conf.cni_version not in VERSIONS:
        said = conf.cni_version or "none"
        return Failure(
            Code.INCOMPATIBLE_VERSION,
            f"{verb}: network configuration: cniVersion {said} is not supported",
            f"supported are {', '.join(VERSIONS)}",
        )
    if verb in _SINCE_1_1 and conf.cni_version != "1.1.0":
        return Failure(Code.INCOMPATIBLE_VERSION, f"{verb}: cniVersion {conf.cni_version} does not have it")
    if verb == "CHECK" and conf.prev_result is None:
        return Failure(Code.BAD_CONFIG, "CHECK: network configuration: prevResult is missing")
    if verb == "GC" and conf.attachments is None:
        # Without the list everything would be garbage; a caller that forgot it must not lose its pods.
        return Failure(Code.BAD_CONFIG, "GC: network configuration: cni.dev/valid-attachments is missing")
    return None


def _environment_faults(env: Mapping[str, str], needs: tuple[str, ...]) -> list[str]:
    faults = [f"{name} is not set" for name in needs if not env.get(name)]
    container_id, ifname = env.get("CNI_CONTAINERID"), env.get("CNI_IFNAME")
    if container_id and not _CONTAINER_ID.fullmatch(container_id):
        faults.append(f"CNI_CONTAINERID {container_id[:64]!r} is no container id")
    if ifname and (not _IFNAME.fullmatch(ifname) or set(ifname) & set("/:%")):
        faults.append(f"CNI_IFNAME {ifname[:64]!r} is no interface name")
    return faults


def _environment(msg: str) -> Failure:
    return Failure(Code.BAD_ENVIRONMENT, msg)


def _ip(address: Address, gateway: Address, version: str) -> dict[str, object]:
    family = {"version": str(address.version)} if version == "0.4.0" else {}
    return {
        **family,
        "address": f"{address}/{address.max_prefixlen}",
        "gateway": str(gateway),
        "interface": 1,
    }


def _is_interface(text: str) -> bool:
    try:
        ip_interface(text)
    except ValueError:
        return False
    return True


def _mac(first: int, rest: bytes) -> str:
    return bytes((first, *rest)).hex(":")
