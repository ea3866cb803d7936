"""One holder at a time, by our own clock; a released Lease passes on at once."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from fairlead_kube.client import KubeClient
from fairlead_operator.leader import Election
from fairlead_operator.settings import Settings
from tests.fakes.api_server import FakeAPIServer, Fault

LEASES = "/apis/coordination.k8s.io/v1/namespaces/fairlead-system/leases"
LEASE = f"{LEASES}/fairlead-operator"


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def api() -> Iterator[FakeAPIServer]:
    with FakeAPIServer({LEASES: "Lease"}) as server:
        yield server


@pytest.fixture
def clock() -> Clock:
    return Clock()


def candidate(api: FakeAPIServer, clock: Clock, name: str) -> Election:
    return Election(KubeClient(api.config()), Settings(identity=name), lambda: None, clock)


def test_the_first_one_takes_the_lease_and_keeps_it(api: FakeAPIServer, clock: Clock) -> None:
    one, two = candidate(api, clock, "one"), candidate(api, clock, "two")

    for _ in range(20):
        one.look()
        two.look()
        clock.now += 2

    assert (one.leading(), two.leading()) == (True, False)
    assert api.get(LEASE)["spec"]["holderIdentity"] == "one"
    assert api.get(LEASE)["spec"]["leaseTransitions"] == 1
    assert two.holder == "one"


def test_a_dead_leader_is_followed_after_the_leases_time_and_not_before(
    api: FakeAPIServer, clock: Clock
) -> None:
    one, two = candidate(api, clock, "one"), candidate(api, clock, "two")
    one.look()
    two.look()

    clock.now += 15
    two.look()
    assert not two.leading()
    assert not one.leading(), "its own margin ended five seconds ago"
    clock.now += 1
    two.look()

    assert two.leading()
    assert api.get(LEASE)["spec"]["leaseTransitions"] == 2


def test_the_clock_of_the_other_machine_does_not_matter(api: FakeAPIServer, clock: Clock) -> None:
    old = {"holderIdentity": "gone", "leaseDurationSeconds": 15, "renewTime": "1990-01-01T00:00:00.000000Z"}
    meta = {"name": "fairlead-operator", "namespace": "fairlead-system"}
    api.put(LEASES, {"metadata": meta, "spec": old})
    two = candidate(api, clock, "two")

    two.look()
    assert not two.leading(), "its time starts when we first see it"
    clock.now += 16
    two.look()

    assert two.leading()


def test_a_leader_that_cannot_renew_stops_to_lead_before_another_may_begin(
    api: FakeAPIServer, clock: Clock
) -> None:
    one = candidate(api, clock, "one")
    one.look()
    api.faults.append(Fault(".*", "lease", status=503, times=100))

    clock.now += 9
    one.look()
    assert one.leading()
    clock.now += 2
    one.look()

    assert not one.leading()
    assert one.last_error is not None
    assert one.last_error.status == 503


def test_a_lost_race_for_the_lease_is_no_leadership(api: FakeAPIServer, clock: Clock) -> None:
    one = candidate(api, clock, "one")
    api.faults.append(Fault("POST", "lease", status=409))

    one.look()

    assert not one.leading()


def test_a_released_lease_passes_on_at_once(api: FakeAPIServer, clock: Clock) -> None:
    one, two = candidate(api, clock, "one"), candidate(api, clock, "two")
    one.start()
    api.wait(one.leading)
    two.look()

    one.stop()
    two.look()

    assert not one.leading()
    assert two.leading()


def test_each_term_has_its_own_number(api: FakeAPIServer, clock: Clock) -> None:
    one = candidate(api, clock, "one")
    one.look()
    one.look()
    assert one.term == 1
    clock.now += 60

    one.look()

    assert one.term == 2
