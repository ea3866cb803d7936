"""The frames between the CNI plugin (nodeagent/cni, C) and the agent's socket, as bytes in and values out.

    request   "FLC1" | u32le env bytes | u32le stdin bytes | env | stdin    (netns fd: SCM_RIGHTS of byte 0)
    env       "KEY=VALUE\\0" ..., only CNI_*, UTF-8, no key twice
    response  "FLR1" | u32le exit code | u32le stdout bytes | stdout

One request and one response per connection. A remembered DEL (the spool) is a file with one request frame.
The limits here and in nodeagent/cni/wire.h are the same numbers; a test compares them.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

REQUEST_MAGIC: Final = b"FLC1"
RESPONSE_MAGIC: Final = b"FLR1"
HEADER_BYTES: Final = 12
ENV_BYTES_MAX: Final = 64 * 1024
STDIN_BYTES_MAX: Final = 1024 * 1024
STDOUT_BYTES_MAX: Final = 1024 * 1024
EXIT_CODE_MAX: Final = 255
SPOOL_SEPARATOR: Final = "@"  # no container id may contain it, so the first one in a file name separates

_HEADER: Final = struct.Struct("<4sII")


class WireError(ValueError):
    """A frame that is not of this protocol. The message names the part and what is wrong with it."""


class BadMagicError(WireError):
    """The first four bytes are not the expected ones: the other side speaks something else."""


class FrameTooLargeError(WireError):
    """A length in the header (or of a part to encode) is above its limit."""


class FrameTruncatedError(WireError):
    """Fewer bytes than the header announces."""


class FrameTrailingError(WireError):
    """More bytes than the header announces."""


class BadEnvironmentError(WireError):
    """The env part is not a list of CNI_KEY=VALUE strings."""


class BadSpoolNameError(WireError):
    """A file name in the spool is not <container id>@<interface name>."""


@dataclass(frozen=True, slots=True)
class Request:
    """One call of the plugin: its CNI_* environment and its stdin, unparsed."""

    env: Mapping[str, str]
    stdin: bytes


@dataclass(frozen=True, slots=True)
class Response:
    """What the plugin shall print on stdout and exit with (0..255)."""

    exit_code: int
    stdout: bytes


@dataclass(frozen=True, slots=True)
class SpoolKey:
    """The attachment that a remembered DEL names."""

    container_id: str
    ifname: str


def request_length(prefix: bytes) -> int | None:
    """Total bytes of the request frame that starts with `prefix`; None while the header is incomplete.

    Raises BadMagicError or FrameTooLargeError as soon as the header shows it, so no reader buffers more than
    HEADER_BYTES + ENV_BYTES_MAX + STDIN_BYTES_MAX.
    """
    if len(prefix) < HEADER_BYTES:
        _require_magic("request", prefix[:4], REQUEST_MAGIC[: len(prefix)])
        return None
    env_bytes, stdin_bytes = _request_sizes(prefix)
    return HEADER_BYTES + env_bytes + stdin_bytes


def decode_request(frame: bytes) -> Request:
    """The request in one whole frame (from the socket, or a file of the spool). Raises a WireError."""
    if len(frame) < HEADER_BYTES:
        raise FrameTruncatedError(f"request header: {len(frame)} of {HEADER_BYTES} bytes")
    env_bytes, stdin_bytes = _request_sizes(frame)
    _require_length("request", frame, HEADER_BYTES + env_bytes + stdin_bytes)
    stdin_at = HEADER_BYTES + env_bytes
    return Request(env=_decode_env(frame[HEADER_BYTES:stdin_at]), stdin=bytes(frame[stdin_at:]))


def encode_request(request: Request) -> bytes:
    """The frame of `request`. Raises FrameTooLargeError, BadEnvironmentError."""
    env = b"".join(_encode_variable(key, value) for key, value in request.env.items())
    _require_limit("request env", len(env), ENV_BYTES_MAX)
    _require_limit("request stdin", len(request.stdin), STDIN_BYTES_MAX)
    return _HEADER.pack(REQUEST_MAGIC, len(env), len(request.stdin)) + env + request.stdin


def response_length(prefix: bytes) -> int | None:
    """Total bytes of the response frame that starts with `prefix`; None while the header is incomplete."""
    if len(prefix) < HEADER_BYTES:
        _require_magic("response", prefix[:4], RESPONSE_MAGIC[: len(prefix)])
        return None
    return HEADER_BYTES + _response_header(prefix)[1]


def decode_response(frame: bytes) -> Response:
    """The response in one whole frame. Raises a WireError."""
    if len(frame) < HEADER_BYTES:
        raise FrameTruncatedError(f"response header: {len(frame)} of {HEADER_BYTES} bytes")
    exit_code, stdout_bytes = _response_header(frame)
    _require_length("response", frame, HEADER_BYTES + stdout_bytes)
    return Response(exit_code=exit_code, stdout=bytes(frame[HEADER_BYTES:]))


def encode_response(response: Response) -> bytes:
    """The frame of `response`. Raises FrameTooLargeError when stdout or the exit code is above its limit."""
    _require_limit("response stdout", len(response.stdout), STDOUT_BYTES_MAX)
    _require_limit("response exit code", response.exit_code, EXIT_CODE_MAX)
    return _HEADER.pack(RESPONSE_MAGIC, response.exit_code, len(response.stdout)) + response.stdout


def spool_name(key: SpoolKey) -> str:
    """The name of the file that remembers a DEL of `key`."""
    return f"{key.container_id}{SPOOL_SEPARATOR}{key.ifname}"


def parse_spool_name(name: str) -> SpoolKey:
    """The attachment that a spool file's name stands for.

    Raises BadSpoolNameError, also for a dot file: that is one being written.
    """
    container_id, separator, ifname = name.partition(SPOOL_SEPARATOR)
    if not (separator and container_id and ifname) or name.startswith("."):
        raise BadSpoolNameError(f"spool file {name!r}: not <container id>{SPOOL_SEPARATOR}<interface name>")
    return SpoolKey(container_id=container_id, ifname=ifname)


def _request_sizes(frame: bytes) -> tuple[int, int]:
    magic, env_bytes, stdin_bytes = _HEADER.unpack_from(frame)
    _require_magic("request", magic, REQUEST_MAGIC)
    _require_limit("request env", env_bytes, ENV_BYTES_MAX)
    _require_limit("request stdin", stdin_bytes, STDIN_BYTES_MAX)
    return env_bytes, stdin_bytes


def _response_header(frame: bytes) -> tuple[int, int]:
    magic, exit_code, stdout_bytes = _HEADER.unpack_from(frame)
    _require_magic("response", magic, RESPONSE_MAGIC)
    _require_limit("response exit code", exit_code, EXIT_CODE_MAX)
    _require_limit("response stdout", stdout_bytes, STDOUT_BYTES_MAX)
    return exit_code, stdout_bytes


def _decode_env(part: bytes) -> dict[str, str]:
    if part and not part.endswith(b"\0"):
        raise BadEnvironmentError("request env: the last variable has no terminating zero byte")
    env: dict[str, str] = {}
    for raw in part.split(b"\0")[:-1]:
        key, value = _decode_variable(raw)
        if key in env:
            raise BadEnvironmentError(f"request env: {key} is there twice")
        env[key] = value
    return env


def _decode_variable(raw: bytes) -> tuple[str, str]:
    try:
        key, separator, value = raw.decode().partition("=")
    except UnicodeDecodeError as error:
        raise BadEnvironmentError(f"request env: {raw[:40]!r} is not UTF-8: {error.reason}") from error
    if not separator or not key.startswith("CNI_"):
        raise BadEnvironmentError(f"request env: {raw[:40]!r} is not CNI_KEY=VALUE")
    return key, value


def _encode_variable(key: str, value: str) -> bytes:
    if not key.startswith("CNI_") or "=" in key or "\0" in key + value:
        raise BadEnvironmentError(f"request env: {key!r} cannot travel as CNI_KEY=VALUE")
    return f"{key}={value}".encode() + b"\0"


def _require_magic(frame: str, have: bytes, want: bytes) -> None:
    if have != want:
        raise BadMagicError(f"{frame} header: starts with {have!r}, not with {want!r}")


def _require_limit(part: str, have: int, limit: int) -> None:
    if not 0 <= have <= limit:
        raise FrameTooLargeError(f"{part}: {have} is outside 0..{limit}")


def _require_length(frame: str, have: bytes, want: int) -> None:
    if len(have) < want:
        raise FrameTruncatedError(f"{frame}: {len(have)} of {want} bytes")
    if len(have) > want:
        raise FrameTrailingError(f"{frame}: {len(have) - want} bytes after its end")
