"""Rtnetlink as bytes: encodes requests, decodes answers, and a socket that sends a batch and misses no error.

Hand-packed, because a pod's wiring is fifteen messages: pyroute2 spends 0.6 ms on each, this file 0.01 ms
(docs/adr/0007-pod-wiring.md). Layouts: linux/netlink.h, rtnetlink.h, if_link.h, if_addr.h, neighbour.h.

    message   u32 length | u16 type | u16 flags | u32 sequence | u32 port | family header | attributes
    attribute u16 length | u16 type | payload | padding to 4
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from fairlead_agent.ports import PortError

RTM_NEWLINK, RTM_DELLINK, RTM_GETLINK, RTM_SETLINK = 16, 17, 18, 19
RTM_NEWADDR, RTM_GETADDR = 20, 22
RTM_NEWROUTE, RTM_DELROUTE, RTM_GETROUTE = 24, 25, 26
RTM_NEWNEIGH, RTM_DELNEIGH, RTM_GETNEIGH = 28, 29, 30

NLM_F_REQUEST, NLM_F_ACK, NLM_F_DUMP_INTR, NLM_F_DUMP = 0x1, 0x4, 0x10, 0x300
NLM_F_REPLACE, NLM_F_EXCL, NLM_F_CREATE = 0x100, 0x200, 0x400
_NLMSG_ERROR, _NLMSG_DONE = 2, 3
_NLA_F_NESTED: Final = 0x8000
_NLA_TYPE_MASK: Final = 0x3FFF

_HEADER = struct.Struct("=IHHII")
_ATTRIBUTE = struct.Struct("=HH")
_U32 = struct.Struct("=I")
_SOL_NETLINK, _NETLINK_CAP_ACK, _NETLINK_EXT_ACK, _NETLINK_GET_STRICT_CHK = 270, 10, 11, 12
_RECEIVE_BYTES: Final = 256 * 1024
_TIMEOUT_S: Final = 5.0
_BATCH_MESSAGES: Final = 200


class NetlinkError(PortError):
    """The kernel refused a request; `code` is its errno."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Message:
    """One request. `what` names it in errors ("route 10.0.0.1/32 put"); `tolerate`: errnos that mean done."""

    what: str
    type: int
    flags: int
    body: bytes
    tolerate: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Reply:
    """One message of an answer: its type, and its body (family header and attributes)."""

    type: int
    body: bytes


def attribute(kind: int, payload: bytes) -> bytes:
    """One attribute, padded."""
    size = len(payload) + 4
    return _ATTRIBUTE.pack(size, kind) + payload + b"\0" * (-size % 4)


def nested(kind: int, *parts: bytes) -> bytes:
    """An attribute whose payload is attributes."""
    return attribute(kind | _NLA_F_NESTED, b"".join(parts))


def u32(kind: int, value: int) -> bytes:
    """An attribute with one 32-bit number."""
    return attribute(kind, _U32.pack(value))


def text(kind: int, value: str) -> bytes:
    """An attribute with one zero-terminated string."""
    return attribute(kind, value.encode() + b"\0")


def attributes(body: bytes, start: int) -> dict[int, bytes]:
    """The attributes of `body` from offset `start` on: type (without flags) -> payload."""
    found: dict[int, bytes] = {}
    at = start
    while at + 4 <= len(body):
        size, kind = _ATTRIBUTE.unpack_from(body, at)
        if size < 4:
            break
        found[kind & _NLA_TYPE_MASK] = body[at + 4 : at + size]
        at += (size + 3) & ~3
    return found


def number(payload: bytes | None, default: int = 0) -> int:
    """The 32-bit number of an attribute, `default` when it is absent."""
    return _U32.unpack(payload)[0] if payload is not None and len(payload) == 4 else default


def string(payload: bytes | None) -> str:
    """The text of an attribute, "" when it is absent."""
    return payload.rstrip(b"\0").decode(errors="replace") if payload else ""


class RtnlSocket:
    """A route netlink socket. It stays in the network namespace in which the calling thread opened it.

    Not for two threads at once. After a PortError because of a time-out it must be closed.
    """

    def __init__(self) -> None:
        self._socket = socket.socket(
            socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE
        )
        self._socket.settimeout(_TIMEOUT_S)
        for option in (_NETLINK_CAP_ACK, _NETLINK_EXT_ACK, _NETLINK_GET_STRICT_CHK):
            self._socket.setsockopt(_SOL_NETLINK, option, 1)
        self._sequence = 0

    def close(self) -> None:
        """Closes the socket; it may be closed twice."""
        self._socket.close()

    def batch(self, messages: Iterable[Message]) -> list[Reply]:
        """Sends all messages in one system call, waits until the last is done, returns the answers to GETs.

        Only the last asks for an ACK: the kernel works through a batch in order, to its end, and an error is
        always answered. Raises PortError with the first message that failed in a way it does not tolerate.
        """
        replies, failures = self._batch(tuple(messages))
        if failures:
            raise failures[0]
        return replies

    def each(self, messages: Iterable[Message]) -> list[PortError]:
        """Sends all messages in batches; returns what failed: one bad message does not stop the others."""
        batch = tuple(messages)
        failures: list[PortError] = []
        for start in range(0, len(batch), _BATCH_MESSAGES):
            failures += self._batch(batch[start : start + _BATCH_MESSAGES])[1]
        return failures

    def _batch(self, messages: tuple[Message, ...]) -> tuple[list[Reply], list[PortError]]:
        replies: list[Reply] = []
        failures: list[PortError] = []
        if not messages:
            return replies, failures
        pending = self._send(messages)
        last = self._sequence
        while last in pending:
            for kind, _flags, sequence, body in self._receive():
                if kind != _NLMSG_ERROR:
                    replies.append(Reply(kind, body))
                elif (message := pending.pop(sequence, None)) is not None:
                    failures += _failure(message, body)
        return replies, failures

    def dump(self, message: Message) -> list[Reply]:
        """All answers to one dump request. A dump that the kernel marks as interrupted is read again."""
        for _ in range(8):
            replies, interrupted = self._dump_once(message)
            if not interrupted:
                return replies
        raise PortError(f"{message.what}: the kernel's table changed during each of 8 dumps")

    def _dump_once(self, message: Message) -> tuple[list[Reply], bool]:
        pending = self._send((message,))
        replies: list[Reply] = []
        failures: list[PortError] = []
        interrupted = False
        while pending:
            for kind, flags, sequence, body in self._receive():
                interrupted |= bool(flags & NLM_F_DUMP_INTR)
                if kind not in (_NLMSG_ERROR, _NLMSG_DONE):
                    replies.append(Reply(kind, body))
                elif pending.pop(sequence, None) is not None:
                    failures += _failure(message, body)
        if failures:
            raise failures[0]
        return replies, interrupted

    def _send(self, messages: tuple[Message, ...]) -> dict[int, Message]:
        pending: dict[int, Message] = {}
        parts: list[bytes] = []
        for message in messages:
            self._sequence += 1
            pending[self._sequence] = message
            flags = message.flags | (NLM_F_ACK if message is messages[-1] else 0)
            padding = -len(message.body) % 4
            size = 16 + len(message.body) + padding
            parts.append(_HEADER.pack(size, message.type, flags, self._sequence, 0))
            parts.append(message.body + b"\0" * padding)
        try:
            self._socket.send(b"".join(parts))
        except OSError as error:
            raise PortError(f"netlink send of {_names(pending)}: {error}") from error
        return pending

    def _receive(self) -> Iterator[tuple[int, int, int, bytes]]:
        try:
            data = self._socket.recv(_RECEIVE_BYTES)
        except OSError as error:
            raise PortError(f"netlink receive: {error}") from error
        at = 0
        while at + 16 <= len(data):
            length, kind, flags, sequence, _port = _HEADER.unpack_from(data, at)
            if length < 16:
                raise PortError(f"netlink receive: a message of {length} bytes")
            yield kind, flags, sequence, data[at + 16 : at + length]
            at += (length + 3) & ~3


def _failure(message: Message, body: bytes) -> tuple[PortError, ...]:
    code = -struct.unpack_from("=i", body)[0] if len(body) >= 4 else 0
    if code == 0 or code in message.tolerate:
        return ()
    return (
        NetlinkError(
            code,
            f"{message.what}: {os.strerror(code)}{_kernel_says(body)} ({errno.errorcode.get(code, code)})",
        ),
    )


def _kernel_says(body: bytes) -> str:
    # With CAP_ACK the error carries the request's header only; then come the extended ACK's attributes.
    said = string(attributes(body, 20).get(1))
    return f": {said}" if said else ""


def _names(pending: Mapping[int, Message]) -> str:
    return ", ".join(message.what for message in pending.values())
