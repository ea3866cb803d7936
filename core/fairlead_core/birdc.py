"""Answers of BIRD's control socket as values.

    "NNNN-text"  one of several lines     " text"  a further line of the same code
    "NNNN text"  the last line            "+text"  a log line in between, not part of the answer

Codes: 0xxx done, 1xxx data, 2xxx table heading, 8xxx refused, 9xxx not understood. Lines that mean nothing
to us are passed over, so a newer BIRD that says more is read as well.
Source: BIRD 2.0 doc/reply_codes, nest/cli.c.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from ipaddress import ip_address, ip_network
from typing import Final

from fairlead_core.bird_tokens import Address, Network

REPLY_BYTES_MAX: Final = 8 * 1024 * 1024

_CODED = re.compile(r"([0-9]{4})([- ])(.*)", re.DOTALL)
_FINAL_LINE = re.compile(rb"(?:^|\n)[0-9]{4} [^\n]*\n\Z")


class BirdReplyError(ValueError):
    """The bytes are not an answer of BIRD's control protocol."""


class BirdRefusedError(ValueError):
    """BIRD answered 8xxx or 9xxx. The message holds its code and words."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of an answer with the code it stands under."""

    code: int
    text: str


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole answer; the last line is its result."""

    lines: tuple[Line, ...]

    @property
    def code(self) -> int:
        return self.lines[-1].code

    def under(self, code: int) -> tuple[str, ...]:
        """The lines that stand under that code."""
        return tuple(line.text for line in self.lines if line.code == code)


@dataclass(frozen=True, slots=True)
class DaemonStatus:
    """`show status`. `recovering`: a graceful restart is not over, so nothing new is announced yet."""

    version: str
    router_id: str
    recovering: bool


@dataclass(frozen=True, slots=True)
class Protocol:
    """One entry of `show protocols all`. `bgp_state`, `neighbour`, `last_error` are there for BGP only.

    `since` is RFC 3339 in UTC when BIRD wrote it in `bird.TIME_FORMAT`, else None.
    """

    name: str
    kind: str
    state: str
    since: str | None
    description: str | None = None
    bgp_state: str | None = None
    neighbour: Address | None = None
    last_error: str | None = None


@dataclass(frozen=True, slots=True)
class BfdSession:
    """One line of `show bfd sessions`."""

    neighbour: Address
    interface: str
    state: str


def is_complete(buffer: bytes) -> bool:
    """Whether the bytes read so far end with the last line of an answer."""
    return bool(_FINAL_LINE.search(buffer[-65536:]))


def parse_reply(frame: bytes) -> Reply:
    """The answer in one whole frame. Raises BirdReplyError when it is none."""
    lines: list[Line] = []
    last = " "
    for text in frame.decode(errors="replace").removesuffix("\n").split("\n"):
        if last != " " or not lines:
            last = _append(lines, text, last)
        elif not text.startswith("+"):
            raise BirdReplyError(f"BIRD answer: {text[:80]!r} follows its last line")
    if not lines or last != " ":
        raise BirdReplyError(f"BIRD answer of {len(frame)} bytes: it has no last line")
    return Reply(tuple(lines))


def require_done(reply: Reply) -> Reply:
    """The same reply. Raises BirdRefusedError when its result is an error."""
    if reply.code >= 8000:
        raise BirdRefusedError(f"BIRD answered {reply.code:04d}: {reply.lines[-1].text}")
    return reply


def parse_status(reply: Reply) -> DaemonStatus:
    """The answer to `show status`. Raises BirdRefusedError, BirdReplyError."""
    texts = [line.text for line in require_done(reply).lines]
    version = _after("BIRD ", texts)
    router_id = _after("Router ID is ", texts)
    if version is None or router_id is None:
        raise BirdReplyError("BIRD answer to show status: no version or no router id in it")
    return DaemonStatus(version, router_id, any("recovery in progress" in text for text in texts))


def parse_protocols(reply: Reply) -> tuple[Protocol, ...]:
    """The answer to `show protocols all`. Raises BirdRefusedError."""
    found: list[Protocol] = []
    for line in require_done(reply).lines:
        if line.code == 1002:
            found.extend(_protocol(line.text))
        elif line.code == 1006 and found:
            found[-1] = _with_detail(found[-1], line.text)
    return tuple(found)


def parse_bfd_sessions(reply: Reply) -> tuple[BfdSession, ...]:
    """The answer to `show bfd sessions`; nothing when no BFD runs. Raises BirdRefusedError."""
    columns = (text.split() for text in require_done(reply).under(1020))
    return tuple(
        BfdSession(address, words[1], words[2])
        for words in columns
        if len(words) >= 3 and (address := _address(words[0])) is not None
    )


def parse_routes(reply: Reply) -> tuple[Network, ...]:
    """The prefixes of `show route ...`, each once, in order. Raises BirdRefusedError.

    8001 is BIRD's way to say that there is nothing to show: a session that is not up has exported nothing.
    """
    if reply.code == 8001:
        return ()
    words = (text.split(maxsplit=1)[0] for text in require_done(reply).under(1007) if text.strip())
    return tuple(dict.fromkeys(network for word in words if (network := _network(word)) is not None))


def _append(lines: list[Line], text: str, last: str) -> str:
    """Add one line and answer the separator that is in force: " " once the last line came."""
    if text.startswith("+"):
        return "-" if not lines else last
    if text.startswith(" "):
        if not lines:
            raise BirdReplyError(f"BIRD answer: starts with a continuation {text[:80]!r}")
        lines.append(Line(lines[-1].code, text[1:]))
        return last
    match = _CODED.fullmatch(text)
    if match is None:
        raise BirdReplyError(f"BIRD answer: {text[:80]!r} has no code")
    lines.append(Line(int(match[1]), match[3]))
    return match[2]


def _after(prefix: str, texts: list[str]) -> str | None:
    return next((text.removeprefix(prefix) for text in texts if text.startswith(prefix)), None)


def _protocol(text: str) -> Iterator[Protocol]:
    # name, kind, table, state, since, info: the first five have no spaces in the time format that we render.
    words = text.split()
    if len(words) >= 5:
        yield Protocol(name=words[0], kind=words[1], state=words[3], since=_utc(words[4]))


def _with_detail(protocol: Protocol, text: str) -> Protocol:
    key, separator, value = text.strip().partition(":")
    value = value.strip()
    match key if separator else "":
        case "Description":
            return replace(protocol, description=value)
        case "BGP state":
            return replace(protocol, bgp_state=value)
        case "Neighbor address":
            return replace(protocol, neighbour=_address(value))
        case "Last error":
            return replace(protocol, last_error=value)
    return protocol


def _utc(text: str) -> str | None:
    try:
        moment = datetime.strptime(text, "%Y-%m-%dT%H:%M:%S%z")
        return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (ValueError, OverflowError):
        return None


def _address(text: str) -> Address | None:
    try:
        return ip_address(text.partition("%")[0])
    except ValueError:
        return None


def _network(text: str) -> Network | None:
    if "/" not in text or "%" in text:
        return None
    try:
        return ip_network(text)
    except ValueError:
        return None
