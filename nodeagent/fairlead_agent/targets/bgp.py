"""BIRD runs what the node's desired state says, and its sessions are read back.

Fence: the BIRD of this directory, nothing else that speaks BGP on the node. A pass that finds BIRD with the
right configuration asks one question and changes nothing, so an agent that restarts touches no session.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from fairlead_agent.ports import PortError
from fairlead_core import api, sessions
from fairlead_core.bird import BirdConfig, Speaker, protocol_name, render
from fairlead_core.bird_tokens import secret_key
from fairlead_core.outcome import Rejected

SecretReader = Callable[[api.SecretRef], str | None]
"""The secret's text; None when the Secret or its key is not there. PortError when nobody can tell."""


class BirdPort(Protocol):
    """What this target needs of ports.bird.Bird."""

    def running(self) -> str | None: ...
    def stored(self) -> str | None: ...
    def apply(self, config: BirdConfig) -> None: ...
    def store(self, config: BirdConfig) -> None: ...
    def seen(self) -> sessions.Seen: ...


class Bgp:
    """The sessions of one node. Not thread-safe: the loop calls it from one place."""

    def __init__(self, port: BirdPort, secret: SecretReader, node_name: str) -> None:
        self._port = port
        self._secret = secret
        self._node_name = node_name
        self._passwords: dict[str, str] = {}
        self._peers: tuple[api.Peer, ...] = ()
        self._left_out: Mapping[str, Rejected] = {}

    def realise(self, spec: api.NodeNetworkSpec) -> None:
        """BIRD runs this spec's sessions, in memory and on disk; nothing happens when it already does.

        Raises PortError when BIRD does not answer or refuses, when the secret of a running session cannot be
        asked for, or when the spec as a whole cannot be rendered. BIRD then keeps what it runs, and the next
        pass tries again.
        """
        self._peers = spec.bgp.peers if spec.bgp else ()
        unreadable = self._read_passwords()
        speaker = Speaker(self._node_name, spec.bgp, spec.blocks, spec.pools, self._passwords)
        config = render(speaker)
        if isinstance(config, Rejected):
            raise PortError(
                f"bgp of {self._node_name}: {config.reason}: {config.message}; BIRD keeps what it has"
            )
        self._left_out = {**config.left_out, **unreadable}
        self._bring(config)

    def peers(self) -> tuple[api.PeerStatus, ...]:
        """The last spec's sessions as BIRD sees them; "Unknown" with the cause when it does not answer."""
        try:
            seen = self._port.seen() if self._peers else sessions.NOTHING
        except PortError as error:
            return sessions.unknown(self._peers, str(error))
        return sessions.sessions(self._peers, self._left_out, seen)

    def _bring(self, config: BirdConfig) -> None:
        if self._port.running() != config.digest:
            self._port.apply(config)
        elif self._port.stored() != config.text:
            # Somebody took the file away under a running BIRD; without it a restart would announce nothing.
            self._port.store(config)

    def _read_passwords(self) -> dict[str, Rejected]:
        """Refresh the known passwords; answers the peers whose secret nobody could be asked for."""
        known, self._passwords = self._passwords, {}
        unreadable = {}
        for peer in self._peers:
            if peer.auth_secret_ref is None:
                continue
            try:
                self._keep(peer.auth_secret_ref, self._secret(peer.auth_secret_ref))
            except PortError as error:
                # An API server that is away is no reason to close a session; only "it is not there" is.
                password = known.get(secret_key(peer.auth_secret_ref))
                self._keep(peer.auth_secret_ref, password)
                if password is None:
                    unreadable[peer.name] = self._left_out_for(peer, peer.auth_secret_ref, error)
        return unreadable

    def _keep(self, ref: api.SecretRef, password: str | None) -> None:
        if password:
            self._passwords[secret_key(ref)] = password

    def _left_out_for(self, peer: api.Peer, ref: api.SecretRef, error: PortError) -> Rejected:
        running = {found.name for found in self._port.seen().protocols}
        if protocol_name(peer.name) in running:
            raise PortError(f"peer {peer.name}: {error}; BIRD keeps the session as it is") from error
        where = f"peer {peer.name}: key {ref.key!r} of secret {ref.name!r}"
        return Rejected("MissingSecret", f"{where}: {error}")
