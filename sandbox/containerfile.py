"""Reads image/Containerfile, as far as it is made of ARG, FROM, LABEL, ENV, COPY, ENTRYPOINT and CMD.

No RUN: so no container is needed to build, and a change of our own code replaces one small layer.
"""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import dataclass
from pathlib import Path

from sandbox.oci import Settings
from sandbox.progress import SandboxError


@dataclass(frozen=True, slots=True)
class Copy:
    """One COPY: a path in the context and a place in the image."""

    source: str
    destination: str


@dataclass(frozen=True, slots=True)
class Recipe:
    """A Containerfile, understood."""

    base: str
    copies: tuple[Copy, ...]
    settings: Settings


def parse(text: str, arguments: dict[str, str]) -> Recipe:
    """The recipe with `arguments` for its ARGs. Raises SandboxError for what only a full builder can do."""
    values: dict[str, str] = {}
    found: dict[str, list[str]] = {}
    for line in _instructions(text):
        word, _, rest = line.partition(" ")
        if word == "ARG":
            name, _, default = rest.strip().partition("=")
            values[name] = arguments.get(name, default)
        elif word in ("FROM", "LABEL", "ENV", "COPY", "ENTRYPOINT", "CMD"):
            found.setdefault(word, []).append(_filled(rest.strip(), values))
        else:
            raise SandboxError(
                f"Containerfile: {word} is not understood here; the base should bring the rest"
            )
    return _recipe(found)


def _recipe(found: dict[str, list[str]]) -> Recipe:
    environment = tuple(pair for line in found.get("ENV", []) for pair in shlex.split(line))
    labels = dict(pair.split("=", 1) for line in found.get("LABEL", []) for pair in shlex.split(line))
    copies = tuple(Copy(*line.split()) for line in found.get("COPY", []))
    entrypoint = tuple(json.loads(found["ENTRYPOINT"][-1])) if "ENTRYPOINT" in found else ()
    command = tuple(json.loads(found["CMD"][-1])) if "CMD" in found else ()
    return Recipe(found["FROM"][-1], copies, Settings(entrypoint, command, environment, labels))


def _instructions(text: str) -> list[str]:
    lines = (line.strip() for line in text.replace("\\\n", " ").splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def _filled(text: str, values: dict[str, str]) -> str:
    return re.sub(r"\$\{(\w+)\}", lambda match: values.get(match[1], ""), text)


def read(file: Path, base: str) -> Recipe:
    return parse(file.read_text(), {"BASE_IMAGE": base})
