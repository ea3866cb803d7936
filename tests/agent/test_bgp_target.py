"""What the BGP target asks of BIRD, and when it leaves BIRD alone."""

from __future__ import annotations

import msgspec
import pytest

from fairlead_agent.ports import PortError
from fairlead_agent.targets.bgp import Bgp
from fairlead_core import api
from tests.fakes.bird import FakeBird

OPEN = api.Peer("open", "192.0.2.1", 65000)
SECURED = api.Peer("secured", "192.0.2.2", 65000, auth_secret_ref=api.SecretRef("bgp", "tor"))


class Secrets:
    """The API server's secrets; None for `held` means that it does not answer."""

    def __init__(self, held: dict[str, str] | None) -> None:
        self.held = held

    def __call__(self, ref: api.SecretRef) -> str | None:
        if self.held is None:
            raise PortError("the API server does not answer")
        return self.held.get(f"{ref.name}/{ref.key}")


def spec(*peers: api.Peer, block: str = "10.244.0.0/26") -> api.NodeNetworkSpec:
    return api.NodeNetworkSpec(
        1,
        (api.Block(block, "blue"),),
        (api.NodePool("blue", "IPv4"),),
        api.NodeBGP(65001, "192.0.2.9", peers),
    )


def sessions(bgp: Bgp) -> dict[str, str]:
    return {status.name: status.session for status in bgp.peers()}


def test_the_same_desired_state_is_applied_once_however_often_it_comes() -> None:
    bird = FakeBird()

    for _ in range(3):
        Bgp(bird, Secrets({}), "node1").realise(spec(OPEN))

    assert len(bird.applied) == 1


def test_a_bird_that_came_back_without_configuration_gets_it_again() -> None:
    bird = FakeBird()
    bgp = Bgp(bird, Secrets({}), "node1")
    bgp.realise(spec(OPEN))

    bird.config = None
    bgp.realise(spec(OPEN))

    assert len(bird.applied) == 2


def test_a_file_that_was_taken_away_comes_back_without_a_reconfiguration() -> None:
    bird = FakeBird()
    bgp = Bgp(bird, Secrets({}), "node1")
    bgp.realise(spec(OPEN))

    bird.file = None
    bgp.realise(spec(OPEN))

    assert bird.file == bird.applied[0]
    assert len(bird.applied) == 1


def test_a_peer_whose_secret_is_missing_is_left_out_and_the_others_go_on() -> None:
    bird = FakeBird()
    bgp = Bgp(bird, Secrets({}), "node1")

    bgp.realise(spec(OPEN, SECURED))

    assert sessions(bgp) == {"open": "Established", "secured": "MissingSecret"}
    assert "password" not in bird.applied[0]


def test_a_secret_that_was_deleted_ends_its_session() -> None:
    secrets, bird = Secrets({"bgp/tor": "x"}), FakeBird()
    bgp = Bgp(bird, secrets, "node1")
    bgp.realise(spec(SECURED))

    secrets.held = {}
    bgp.realise(spec(SECURED))

    assert sessions(bgp) == {"secured": "MissingSecret"}


def test_a_changed_password_reaches_bird() -> None:
    secrets, bird = Secrets({"bgp/tor": "old"}), FakeBird()
    bgp = Bgp(bird, secrets, "node1")
    bgp.realise(spec(SECURED))

    secrets.held = {"bgp/tor": "new"}
    bgp.realise(spec(SECURED))

    assert 'password "new";' in bird.applied[-1]


def test_an_api_server_that_is_away_closes_no_session_and_stops_no_other_change() -> None:
    secrets, bird = Secrets({"bgp/tor": "x"}), FakeBird()
    bgp = Bgp(bird, secrets, "node1")
    bgp.realise(spec(SECURED))

    secrets.held = None
    bgp.realise(spec(SECURED, block="10.244.0.64/26"))

    assert sessions(bgp) == {"secured": "Established"}
    assert "10.244.0.64/26" in bird.applied[-1]


def test_an_agent_that_restarts_while_the_api_server_is_away_keeps_the_running_session() -> None:
    bird = FakeBird()
    Bgp(bird, Secrets({"bgp/tor": "x"}), "node1").realise(spec(SECURED))

    restarted = Bgp(bird, Secrets(None), "node1")
    with pytest.raises(PortError, match="BIRD keeps the session as it is"):
        restarted.realise(spec(SECURED))

    assert sessions(restarted) == {"secured": "Established"}
    assert len(bird.applied) == 1


def test_a_secret_nobody_can_read_does_not_stop_the_other_peers_of_a_new_node() -> None:
    bird = FakeBird()
    bgp = Bgp(bird, Secrets(None), "node1")

    bgp.realise(spec(OPEN, SECURED))

    assert sessions(bgp) == {"open": "Established", "secured": "MissingSecret"}
    causes = {status.name: status.last_error for status in bgp.peers()}
    assert causes["secured"] == ("peer secured: key 'tor' of secret 'bgp': the API server does not answer")


def test_a_spec_that_cannot_be_rendered_keeps_what_bird_runs() -> None:
    bird = FakeBird()
    bgp = Bgp(bird, Secrets({}), "node1")
    bgp.realise(spec(OPEN))
    broken = msgspec.structs.replace(spec(OPEN), bgp=api.NodeBGP(65001, "no address", (OPEN,)))

    with pytest.raises(PortError, match=r"BadRouterID.*BIRD keeps what it has"):
        bgp.realise(broken)

    assert sessions(bgp) == {"open": "Established"}


def test_a_refusal_of_bird_is_tried_again_in_the_next_pass() -> None:
    bird = FakeBird(refuses=True)
    bgp = Bgp(bird, Secrets({}), "node1")
    with pytest.raises(PortError, match="8002"):
        bgp.realise(spec(OPEN))

    bird.refuses = False
    bgp.realise(spec(OPEN))

    assert sessions(bgp) == {"open": "Established"}


def test_sessions_are_unknown_with_the_cause_while_bird_is_away() -> None:
    bird = FakeBird()
    bgp = Bgp(bird, Secrets({}), "node1")
    bgp.realise(spec(OPEN))

    bird.away = True

    assert bgp.peers() == (
        api.PeerStatus("open", last_error="BIRD at bird.ctl: does not answer: Connection refused"),
    )
