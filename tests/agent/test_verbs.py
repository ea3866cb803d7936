"""The CNI verbs over a kernel in memory and a real journal."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from fairlead_agent import verbs as verbs_module
from fairlead_agent.ipam import NodeIPAM, open_ipam
from fairlead_agent.locks import KeyedLocks
from fairlead_agent.node import NodeState
from fairlead_agent.verbs import Verbs
from fairlead_core import cni
from fairlead_core.api import NodeNetworkSpec
from fairlead_core.cni import AttachmentKey, Call, Code, Failure, PodRef
from tests.fakes.ipam import pool, spec
from tests.fakes.kernel import NO_NETNS, OWN_NETNS, FakeKernel, FakeSpool, link

SMALL = spec(("10.0.0.0/30", "four"), pools=[pool("four", cooldown_s=0)])
WIDER = spec(("10.0.0.0/30", "four"), ("10.0.0.4/30", "four"), pools=[pool("four", cooldown_s=0)], revision=2)
NETNS_FD = 10


class Bench:
    """Verbs and everything around them."""

    def __init__(
        self, directory: Path, desired: NodeNetworkSpec | None = SMALL, wait_s: float = 0.05
    ) -> None:
        self.kernel, self.spool, self.node = FakeKernel(), FakeSpool(), NodeState()
        self.ipam: NodeIPAM = open_ipam(directory / "journal", "node7")
        self.woken = threading.Event()
        self.verbs = Verbs(
            self.ipam, self.kernel, self.node, self.spool,
            locks=KeyedLocks(), wake=self.woken.set, block_wait_s=wait_s,
        )  # fmt: skip
        if desired is not None:
            self.follow(desired)

    def follow(self, desired: NodeNetworkSpec) -> None:
        self.ipam.reconfigure(desired)
        self.node.accept(desired)

    def call(
        self, verb: str, container: str = "c1", netns_fd: int | None = NETNS_FD, **fields: object
    ) -> bytes | Failure:
        call = Call(verb, "1.1.0", AttachmentKey(container, "eth0"), "/run/netns/p", **fields)  # type: ignore[arg-type]
        return self.verbs.answer(call, netns_fd)

    def held(self) -> list[str]:
        return [str(address) for lease in self.ipam.leases() for address in lease.addresses]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.ipam.close()


def failure(answer: bytes | Failure) -> Failure:
    assert isinstance(answer, Failure), answer
    return answer


def test_an_add_wires_what_it_reports(bench: Bench) -> None:
    answer = bench.call("ADD", pod=PodRef("shop", "web-0", "u"))

    assert isinstance(answer, bytes)
    assert [ip["address"].split("/")[0] for ip in json.loads(answer)["ips"]] == bench.held()
    wired = bench.kernel.pods[NETNS_FD, "eth0"]
    assert [str(address) for address in wired.addresses] == bench.held()
    assert wired.alias == "fairlead:c1 eth0 shop/web-0"


def test_an_add_that_cannot_be_wired_gives_its_address_back(bench: Bench) -> None:
    bench.kernel.fails["wire"] = "veth fl1 add: No space left on device"

    answer = failure(bench.call("ADD"))

    assert answer.code == Code.IO
    assert "No space left" in answer.msg
    assert bench.held() == []


@pytest.mark.parametrize("netns_fd", [None, NO_NETNS, OWN_NETNS])
def test_an_add_without_a_usable_namespace_is_refused(bench: Bench, netns_fd: int | None) -> None:
    assert failure(bench.call("ADD", netns_fd=netns_fd)).code == Code.BAD_NETNS
    assert bench.held() == []


def test_an_add_whose_answer_was_lost_is_not_repeated_over_a_living_pod(bench: Bench) -> None:
    bench.call("ADD")

    assert failure(bench.call("ADD")).code == Code.EXISTS
    assert len(bench.held()) == 1


def test_an_add_after_a_half_one_starts_over(bench: Bench) -> None:
    bench.call("ADD")
    bench.kernel.pods.clear()  # the agent was killed between two steps, or the pod's namespace is a new one

    assert isinstance(bench.call("ADD"), bytes)
    assert len(bench.held()) == 1


def test_without_a_spec_an_add_asks_to_try_later(tmp_path: Path) -> None:
    answer = failure(Bench(tmp_path, desired=None).call("ADD"))

    assert answer.code == Code.TRY_LATER
    assert "no accepted NodeNetwork" in answer.msg


def test_exhaustion_wakes_the_loop_and_speaks_in_numbers(bench: Bench) -> None:
    for number in range(4):
        bench.call("ADD", f"c{number}")

    answer = failure(bench.call("ADD", "c9", pod=PodRef("shop", "web-9", "u")))

    assert answer.code == Code.TRY_LATER
    assert "pod shop/web-9" in answer.msg
    assert "pool four: 0 of 4 free" in answer.msg
    assert bench.woken.is_set()


def test_a_waiting_add_takes_the_block_that_comes(tmp_path: Path) -> None:
    bench = Bench(tmp_path, wait_s=5.0)
    for number in range(4):
        bench.call("ADD", f"c{number}")
    threading.Timer(0.1, lambda: bench.follow(WIDER)).start()
    started_s = time.monotonic()

    answer = bench.call("ADD", "c9")

    assert isinstance(answer, bytes)
    assert time.monotonic() - started_s < 2.0


def test_a_del_that_cannot_be_carried_out_keeps_the_address(bench: Bench) -> None:
    bench.call("ADD")
    bench.kernel.fails["unwire"] = "netlink receive: timed out"

    assert failure(bench.call("DEL")).code == Code.IO
    assert len(bench.held()) == 1


def test_a_del_takes_down_before_it_gives_back(bench: Bench) -> None:
    bench.call("ADD")

    assert bench.call("DEL") == b""

    assert bench.kernel.pods == {}
    assert bench.held() == []


def test_an_add_that_nobody_waits_for_leaves_nothing(bench: Bench) -> None:
    call = Call("ADD", "1.1.0", AttachmentKey("c1", "eth0"), "/run/netns/p")
    gives_up_meanwhile = iter([True, False])

    late = failure(bench.verbs.answer(call, NETNS_FD, lambda: False))
    lost = failure(bench.verbs.answer(call, NETNS_FD, lambda: next(gives_up_meanwhile)))

    assert late.code == lost.code == Code.TRY_LATER
    assert bench.held() == []
    assert bench.kernel.pods == {}


def test_a_remembered_del_never_ends_a_later_add(bench: Bench) -> None:
    bench.call("ADD")
    bench.spool.keys.add(AttachmentKey("c1", "eth0"))

    assert isinstance(bench.call("ADD"), bytes)
    assert bench.verbs.settle_spool() == []

    assert len(bench.held()) == 1
    assert bench.kernel.pods != {}


def test_one_remembered_del_that_fails_does_not_stop_the_others(bench: Bench) -> None:
    for container in ("c1", "c2"):
        bench.call("ADD", container)
        bench.spool.keys.add(AttachmentKey(container, "eth0"))
    bench.kernel.fails[cni.veth_names(AttachmentKey("c1", "eth0")).host_ifname] = "busy"

    failures = bench.verbs.settle_spool()

    assert [str(one) for one in failures] == ["busy"]
    assert bench.spool.keys == {AttachmentKey("c1", "eth0")}


def test_gc_keeps_the_listed_and_goes_on_after_an_error(bench: Bench) -> None:
    for container in ("kept", "stuck", "gone"):
        bench.call("ADD", container)
    bench.kernel.fails[cni.veth_names(AttachmentKey("stuck", "eth0")).host_ifname] = "busy"

    answer = failure(bench.call("GC", valid=frozenset({AttachmentKey("kept", "eth0")})))

    assert "stuck/eth0: busy" in answer.msg
    assert sorted(lease.owner.container_id for lease in bench.ipam.leases()) == ["kept", "stuck"]


def test_gc_ends_attachments_of_its_own_network_only(bench: Bench) -> None:
    """Two runtimes on one node, each with its own list: containerd and podman."""
    bench.call("ADD", "pod")
    bench.call("ADD", "tool", network="podman")
    bench.kernel.node_links["fl0000000001a"] = link("fl0000000001a", alias="fairlead:gone eth0/podman")

    assert bench.call("GC") == b""
    assert [lease.owner.container_id for lease in bench.ipam.leases()] == ["tool"]
    assert bench.kernel.node_links["fl0000000001a"].up

    assert bench.call("GC", network="podman") == b""
    assert bench.held() == []
    assert not bench.kernel.node_links["fl0000000001a"].up


def test_gc_ends_links_of_ours_without_a_lease_and_no_others(bench: Bench) -> None:
    bench.kernel.node_links = {
        "fl0000000001a": link("fl0000000001a", alias="fairlead:shop/lost c0"),
        "flannel.1": link("flannel.1"),
    }

    assert bench.call("GC") == b""

    assert not bench.kernel.node_links["fl0000000001a"].up
    assert bench.kernel.node_links["flannel.1"].up


def test_check_of_a_stranger_says_that_nothing_is_held(bench: Bench) -> None:
    assert failure(bench.call("CHECK")).code == Code.UNKNOWN_CONTAINER


def test_check_names_everything_that_is_missing(bench: Bench) -> None:
    bench.call("ADD")
    bench.kernel.pods.clear()
    bench.kernel.node_links.clear()

    answer = failure(bench.call("CHECK"))

    assert answer.code == Code.CHECK_FAILED
    assert "interface eth0 is missing" in answer.msg
    assert "is missing on the node" in answer.msg


def test_status_without_blocks_is_not_available(tmp_path: Path) -> None:
    assert failure(Bench(tmp_path, desired=None).call("STATUS")).code == Code.NOT_AVAILABLE


def test_status_bears_a_short_shortage_and_names_a_long_one(bench: Bench) -> None:
    for number in range(4):
        bench.call("ADD", f"c{number}")

    assert (
        bench.call("STATUS") == b""
    )  # a runtime may call the whole node unready for it: a block is on its way
    bench.verbs._empty_since_s = time.monotonic() - verbs_module.EMPTY_GRACE_S
    answer = failure(bench.call("STATUS"))

    assert answer.code == Code.NO_ADDRESSES
    assert "pool four: 0 of 4 free, 0 cooling; node7 waits for another block" in answer.msg


def test_the_same_attachment_is_never_handled_twice_at_once(bench: Bench) -> None:
    answers: list[bytes | Failure] = []
    threads = [threading.Thread(target=lambda: answers.append(bench.call("ADD"))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=10)

    assert sum(isinstance(answer, bytes) for answer in answers) == 1
    assert len(bench.held()) == 1
