"""P1: the planner at scale, without a cluster.

10,000 nodes in 25 racks, 50 pools (one per rack and family), blocks for 300,000 pods. Each case is one
plan_cluster call: wall time and the API writes it causes; beside them resident memory of the process, and one
plan under tracemalloc.
"""

from __future__ import annotations

import gc
import json
import sys
import time
import tracemalloc
from dataclasses import asdict, dataclass
from pathlib import Path

import msgspec.structs

from fairlead_core.api import LabelSelector
from fairlead_core.plan import plan_cluster
from fairlead_core.snapshot import ClusterPlan
from tests.fakes.cluster import NOW, Agent, Cluster, node, peer, pool

RACKS = 25


@dataclass
class Case:
    """One plan: what it was asked, how long it took, what it would write."""

    case: str
    seconds: float
    cpu_seconds: float
    writes: int
    node_writes: int


def build(nodes: int, pods: int) -> tuple[Cluster, dict[str, Agent]]:
    """A settled cluster whose agents hold `pods` addresses of each family, unevenly spread over the nodes."""
    cluster = Cluster()
    for rack in range(RACKS):
        labels = {"rack": str(rack)}
        cluster.add(
            pool(f"v4-{rack}", [f"10.{rack}.0.0/16"], labels=labels),
            pool(f"v6-{rack}", [f"fd00:{rack:x}::/104"], labels=labels),
            peer(f"tor-v4-{rack}", f"10.250.{rack}.1", node_selector=_selector(rack)),
            peer(f"tor-v6-{rack}", f"fd00:250:{rack:x}::1", node_selector=_selector(rack)),
        )
    agents = {}
    for index in range(nodes):
        name = f"node{index}"
        address = f"10.251.{index // 256}.{index % 256}"
        cluster.add(node(name, address, rack=str(index % RACKS), **{"kubernetes.io/hostname": name}))
        agents[name] = Agent(name)
    cluster.carry_out(cluster.plan())
    _spread(cluster, agents, pods)
    cluster.settle(agents.values())
    return cluster, agents


def measure(cluster: Cluster, agents: dict[str, Agent]) -> list[Case]:
    """The cases in order; each starts from the settled cluster."""
    cases = [_case("nothing changed", cluster)]
    cases.append(_case("everything from nothing", _unborn(cluster)))
    agents["node77"].used = {block.cidr: 60 for block in agents["node77"].blocks()}
    cluster.report(agents["node77"])
    cases.append(_case("one changed node", cluster))
    drained = cluster.pools["v4-3"]
    cluster.pools["v4-3"] = msgspec.structs.replace(
        drained, spec=msgspec.structs.replace(drained.spec, state="Draining")
    )
    cases.append(_case("one drained pool (400 nodes)", cluster))
    return cases


def run(quick: bool = False) -> dict[str, object]:
    """The report of P1; `quick` takes a tenth of the nodes and pods."""
    nodes, pods = (1_000, 30_000) if quick else (10_000, 300_000)
    cluster, agents = build(nodes, pods)
    gc.collect()
    before_mib = rss_mib()
    cases = measure(cluster, agents)
    return {
        "id": "P1",
        "nodes": nodes,
        "pools": len(cluster.pools),
        "pods": sum(sum(agent.used.values()) for agent in agents.values()) // 2,
        "blocks": sum(len(item.spec.blocks) for item in cluster.node_networks.values()),
        "cases": [asdict(case) for case in cases],
        "rss_mib_objects": round(before_mib, 1),
        "rss_mib_after": round(rss_mib(), 1),
        "plan_peak_mib": round(plan_peak_mib(cluster), 1),
    }


def plan_peak_mib(cluster: Cluster) -> float:
    """Memory that one plan takes beside the objects, by tracemalloc."""
    snapshot = cluster.snapshot()
    tracemalloc.start()
    plan_cluster(snapshot, NOW)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak / 2**20


def rss_mib() -> float:
    """Resident memory of this process now."""
    status = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmRSS"))


def _case(name: str, cluster: Cluster) -> Case:
    snapshot = cluster.snapshot()
    started, cpu_started = time.perf_counter(), time.process_time()
    plan: ClusterPlan = plan_cluster(snapshot, NOW)
    seconds, cpu_seconds = time.perf_counter() - started, time.process_time() - cpu_started
    return Case(name, round(seconds, 3), round(cpu_seconds, 3), plan.writes, len(plan.node_writes))


def _unborn(cluster: Cluster) -> Cluster:
    return Cluster(cluster.nodes, {}, cluster.pools, cluster.peers)


def _spread(cluster: Cluster, agents: dict[str, Agent], pods: int) -> None:
    """Between a half and one and a half of the mean per node; what one block cannot hold goes to the next."""
    mean = pods / len(agents)
    for _ in range(2):
        for index, agent in enumerate(agents.values()):
            cluster.report(agent)
            want = int(mean * (0.5 + (index * 7919 % 1000) / 1000))
            for family in (".", ":"):
                _fill(agent, family, want)
            cluster.report(agent)
        cluster.carry_out(cluster.plan())


def _fill(agent: Agent, family: str, want: int) -> None:
    for block in agent.blocks():
        if family in block.cidr:
            agent.used[block.cidr] = min(want, 60)
            want -= agent.used[block.cidr]


def _selector(rack: int) -> LabelSelector:
    return LabelSelector(match_labels={"rack": str(rack)})


if __name__ == "__main__":
    print(json.dumps(run("--quick" in sys.argv), indent=2))
