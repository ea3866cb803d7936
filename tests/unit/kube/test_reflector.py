"""The view follows the server and never believes that an error means "nothing is there"."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import msgspec
import pytest

from fairlead_kube.client import KubeClient
from fairlead_kube.errors import KubeError
from fairlead_kube.reflector import Pace, Reflector
from tests.fakes.api_server import FakeAPIServer, Fault

NODES = "/api/v1/nodes"
QUICK = Pace(page=2, watch_s=(5, 5), read_timeout_s=3, backoff_s=(0.02, 0.1))


class Meta(msgspec.Struct, rename="camel"):
    name: str
    namespace: str | None = None
    resource_version: str = ""
    labels: dict[str, str] = {}


class Thing(msgspec.Struct):
    metadata: Meta


class Watcher:
    """A reflector of nodes with what it told."""

    def __init__(self, api: FakeAPIServer) -> None:
        self.api = api
        self.woken = 0
        self.troubles: list[KubeError] = []
        self.lock = threading.Lock()
        self.reflector = Reflector(
            KubeClient(api.config()), NODES, Thing, self.wake, pace=QUICK, unchanged=_same_labels,
            on_trouble=self.troubles.append,
        )  # fmt: skip
        self.reflector.start()
        assert self.reflector.wait_synced(10)

    def wake(self) -> None:
        self.woken += 1

    def names(self) -> set[str]:
        return set(self.reflector.view())

    def expect(self, *names: str) -> None:
        self.api.wait(lambda: self.names() == set(names))


def _same_labels(old: Thing, new: Thing) -> bool:
    return old.metadata.labels == new.metadata.labels


def node(name: str, **labels: str) -> dict[str, object]:
    return {"metadata": {"name": name, "labels": labels}}


@pytest.fixture
def api() -> Iterator[FakeAPIServer]:
    with FakeAPIServer({NODES: "Node"}) as server:
        for name in ("a", "b", "c", "d", "e"):
            server.put(NODES, node(name))
        yield server


@pytest.fixture
def watcher(api: FakeAPIServer) -> Iterator[Watcher]:
    found = Watcher(api)
    yield found
    found.reflector.stop()


def test_a_list_in_pages_is_one_view(watcher: Watcher) -> None:
    assert watcher.names() == {"a", "b", "c", "d", "e"}
    assert watcher.woken == 1


def test_events_reach_the_view(api: FakeAPIServer, watcher: Watcher) -> None:
    api.put(NODES, node("f"))
    api.put(NODES, node("a", rack="1"))
    api.remove(f"{NODES}/b")

    watcher.expect("a", "c", "d", "e", "f")
    assert watcher.reflector.view()["a"].metadata.labels == {"rack": "1"}
    api.wait(lambda: watcher.woken == 4)


def test_a_change_of_no_interest_wakes_nobody(api: FakeAPIServer, watcher: Watcher) -> None:
    api.put(NODES, {**node("a"), "status": {"heartbeat": 1}})
    api.put(NODES, node("f"))

    watcher.expect("a", "b", "c", "d", "e", "f")
    api.wait(lambda: watcher.woken == 2)


def test_a_broken_watch_goes_on_where_it_was_without_a_new_list(api: FakeAPIServer, watcher: Watcher) -> None:
    api.bookmark()
    api.drop_watches()
    api.put(NODES, node("f"))

    watcher.expect("a", "b", "c", "d", "e", "f")


def test_a_delete_that_nobody_told_is_found_after_a_410(api: FakeAPIServer, watcher: Watcher) -> None:
    api.put(NODES, node("f"))
    watcher.expect("a", "b", "c", "d", "e", "f")
    api.remove(f"{NODES}/b", silently=True)
    api.compact()

    watcher.expect("a", "c", "d", "e", "f")
    api.wait(lambda: watcher.woken == 3)
    assert any(trouble.expired for trouble in watcher.troubles)


def test_a_410_inside_the_watch_lists_again(api: FakeAPIServer, watcher: Watcher) -> None:
    api.remove(f"{NODES}/b", silently=True)
    api.say(NODES, "ERROR", {"kind": "Status", "code": 410, "reason": "Expired", "metadata": {}})

    watcher.expect("a", "c", "d", "e")


def test_a_resource_version_that_went_back_lists_again(api: FakeAPIServer, watcher: Watcher) -> None:
    api.remove(f"{NODES}/b", silently=True)
    api.bookmark(version=1)

    watcher.expect("a", "c", "d", "e")


@pytest.mark.parametrize(
    "body",
    [b"", b"{}", b"null", b"[]", b"<html>bad gateway</html>", b'{"kind":"NodeList","items":[]}',
     b'{"kind":"NodeList","metadata":{},"items":null}',
     b'{"kind":"Status","metadata":{"resourceVersion":"9"}}',
     b'{"kind":"NodeList","metadata":{"resourceVersion":"9"},"items":[{"metadata":{}}]}',
     b'{"kind":"NodeList","metadata":{"resourceVersion":"9"},"items":[{"met'],
)  # fmt: skip
def test_a_garbled_list_keeps_the_old_view(api: FakeAPIServer, watcher: Watcher, body: bytes) -> None:
    api.faults.append(Fault("GET", "nodes.*limit", status=200, body=body, times=3))
    api.compact()
    api.wait(lambda: api.faults[0].times == 0 and len(watcher.troubles) >= 3)
    assert watcher.names() == {"a", "b", "c", "d", "e"}

    api.put(NODES, node("f"))
    watcher.expect("a", "b", "c", "d", "e", "f")


@pytest.mark.parametrize("status", [401, 403, 404, 429, 500, 503])
def test_an_error_keeps_the_old_view(api: FakeAPIServer, watcher: Watcher, status: int) -> None:
    api.faults.append(Fault("GET", "nodes", status=status, times=4))
    api.compact()

    api.wait(lambda: api.faults[0].times == 0)
    assert watcher.names() == {"a", "b", "c", "d", "e"}
    api.put(NODES, node("f"))
    watcher.expect("a", "b", "c", "d", "e", "f")


def test_a_list_that_breaks_on_its_second_page_keeps_the_old_view(
    api: FakeAPIServer, watcher: Watcher
) -> None:
    api.faults.append(Fault("GET", "continue=2", cut=True, times=2))
    api.compact()

    api.wait(lambda: api.faults[0].times == 0)
    assert watcher.names() == {"a", "b", "c", "d", "e"}


def test_an_object_that_does_not_fit_keeps_its_old_form_and_hides_no_other(
    api: FakeAPIServer, watcher: Watcher
) -> None:
    api.put(NODES, {"metadata": {"name": "a", "labels": ["no", "map"]}})
    api.put(NODES, node("f"))

    watcher.expect("a", "b", "c", "d", "e", "f")
    assert [trouble.reason for trouble in watcher.troubles] == ["BadObject"]
    assert "a does not fit" in watcher.troubles[0].message


def test_a_garbled_watch_line_lists_again(api: FakeAPIServer, watcher: Watcher) -> None:
    api.say(NODES, "SURPRISE", {})
    api.put(NODES, node("f"))

    watcher.expect("a", "b", "c", "d", "e", "f")


def test_a_stopped_reflector_ends_its_thread_at_once(api: FakeAPIServer, watcher: Watcher) -> None:
    watcher.reflector.stop(2)

    assert not watcher.reflector._thread.is_alive()


def test_the_age_of_the_view_is_infinite_before_the_first_list(api: FakeAPIServer) -> None:
    reflector = Reflector(KubeClient(api.config()), NODES, Thing, lambda: None)

    assert reflector.stale_s() == float("inf")
