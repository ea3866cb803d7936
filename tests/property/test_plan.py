"""No history makes two nodes use one block.

A machine of an API server (Cluster), agents that hear and report when they like, and an operator whose view
lags, whose writes fail or only seem to fail, and that is replaced by another one. Objects are deleted by
accident and come back from the past. Limit, as in ADR 0009: a new operator starts from lists, so an agent
whose object lost blocks in a restore must have spoken before.
"""

from __future__ import annotations

import random

import msgspec.structs
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from fairlead_core.api import NodeNetwork, NodeNetworkSpec
from fairlead_core.plan import plan_cluster
from fairlead_core.snapshot import ClusterPlan, ClusterSnapshot, NodeWrite
from fairlead_operator.memory import Memory
from tests.fakes.cluster import NOW, Agent, Cluster, node, pool

NAMES = ("n1", "n2", "n3")
names = st.sampled_from(NAMES)
some = st.sets(names)
FATES = ("done", "lost before", "lost after")
STEPS = 1200
fates = st.lists(st.sampled_from(("done", *FATES)), min_size=3, max_size=3)


class Blocks(RuleBasedStateMachine):
    """Three nodes and a pool of four or eight blocks of four addresses, so that blocks change hands often."""

    def __init__(self) -> None:
        super().__init__()
        self.cluster = Cluster()
        self.agents = {name: Agent(name, wanted=3) for name in NAMES}
        self.history: dict[str, list[NodeNetworkSpec]] = {name: [] for name in NAMES}
        self.unspoken: set[str] = set()
        self.clock_s = 0.0
        self.memory = Memory()
        self.view: dict[str, NodeNetwork] = {}

    @initialize(eight=st.booleans())
    def found(self, eight: bool) -> None:
        self.cluster.add(*(node(name) for name in NAMES))
        self.cluster.add(pool("small", ["10.0.0.0/27"] if eight else ["10.0.0.0/28"], block_size=30))

    # pods and agents

    @rule(wanted=st.dictionaries(names, st.integers(1, 12)))
    def pods_start(self, wanted: dict[str, int]) -> None:
        for name, count in sorted(wanted.items()):
            self.start(name, count)

    def start(self, name: str, count: int) -> None:
        agent = self.agents[name]
        for cidr in sorted(agent.active()):
            room = 4 - agent.used.get(cidr, 0) - agent.cooling.get(cidr, 0)
            agent.used[cidr] = agent.used.get(cidr, 0) + min(room, count)
            count -= min(room, count)

    @rule(where=some, cooling=st.booleans())
    def pods_end(self, where: set[str], cooling: bool) -> None:
        for agent in (self.agents[name] for name in where):
            agent.cooling = dict(agent.used) if cooling else {}
            agent.used = {}

    @rule(hear=some, report=some)
    def agents_speak(self, hear: set[str], report: set[str]) -> None:
        for name in sorted(hear & self.cluster.node_networks.keys()):
            self.agents[name].hear(self.cluster.node_networks[name].spec)
        for name in sorted(report & self.cluster.node_networks.keys()):
            self.cluster.report(self.agents[name])
            self.unspoken.discard(name)

    # the operator

    @rule(told=some, fates=fates)
    def operator_passes(self, told: set[str], fates: list[str]) -> None:
        for name in told:
            if name in self.cluster.node_networks:
                self.view[name] = self.cluster.node_networks[name]
            else:
                self.view.pop(name, None)
        plan = self.plan()
        for write, fate in zip(plan.node_writes, fates, strict=False):
            self.write(write, fate)
        self.cluster.carry_out(without_nodes(plan))

    def write(self, write: NodeWrite, fate: str) -> None:
        landed = fate != "lost before" and self.cluster.write(write)
        if fate == "done" and landed:
            self.memory.wrote(self.cluster.node_networks[write.name])
        elif fate == "done":
            self.memory.conflicted(write.name)
        else:
            self.memory.uncertain(write.name, write.spec.blocks, self.clock_s)
        if landed:
            self.history[write.name].append(write.spec)

    def snapshot(self) -> ClusterSnapshot:
        networks = self.memory.merge(self.view, self.clock_s)
        return ClusterSnapshot(
            nodes=tuple(self.cluster.nodes.values()),
            node_networks=tuple(networks.values()),
            pools=tuple(self.cluster.pools.values()),
            claims=self.memory.claims(),
            hold_grants=self.memory.hold_grants,
        )

    def plan(self) -> ClusterPlan:
        snapshot = self.snapshot()
        plan = plan_cluster(snapshot, NOW)
        shuffled = [list(part) for part in (snapshot.nodes, snapshot.node_networks, snapshot.pools)]
        for part in shuffled:
            random.Random(7).shuffle(part)
        again = ClusterSnapshot(
            *map(tuple, shuffled), claims=snapshot.claims, hold_grants=snapshot.hold_grants
        )
        assert plan_cluster(again, NOW) == plan, "the order of objects changed the plan"
        return plan

    @precondition(lambda self: not self.unspoken)
    @rule()
    def another_operator_takes_over(self) -> None:
        self.memory = Memory()
        self.view = dict(self.cluster.node_networks)

    # what people and backups do

    @rule(name=names)
    def object_is_deleted(self, name: str) -> None:
        # The watch tells before the deletion what it has to tell, so the operator has seen the last state.
        self.deliver_all()
        if self.cluster.node_networks.pop(name, None):
            self.unspoken.add(name)
            self.view.pop(name, None)
            self.snapshot()

    @rule(name=names, back=st.integers(1, 4))
    def spec_comes_back_from_the_past(self, name: str, back: int) -> None:
        self.deliver_all()
        past, item = self.history[name][-1 - back : -back], self.cluster.node_networks.get(name)
        if past and item and past[0].revision < item.spec.revision:
            meta = msgspec.structs.replace(item.metadata, generation=item.metadata.generation + 1)
            self.cluster._store(msgspec.structs.replace(item, metadata=meta, spec=past[0]))
            self.unspoken.add(name)
            self.view[name] = self.cluster.node_networks[name]
            self.snapshot()

    @rule(state=st.sampled_from(["Active", "Draining", "Disabled"]))
    def pool_changes(self, state: str) -> None:
        old = self.cluster.pools["small"]
        spec = msgspec.structs.replace(old.spec, state=state)
        self.cluster.pools["small"] = msgspec.structs.replace(old, spec=spec)

    @rule(name=names)
    def node_flaps(self, name: str) -> None:
        if not self.cluster.nodes.pop(name, None):
            self.cluster.add(node(name))

    def deliver_all(self) -> None:
        self.view = dict(self.cluster.node_networks)
        self.snapshot()

    @invariant()
    def no_block_is_in_use_on_two_nodes(self) -> None:
        users: dict[str, str] = {}
        for agent in self.agents.values():
            mine = agent.active() | {cidr for cidr, used in agent.used.items() if used}
            for cidr in mine:
                assert users.setdefault(cidr, agent.name) == agent.name, (
                    f"{cidr} on {users[cidr]} and {agent.name}"
                )

    @invariant()
    def no_live_address_is_outside_the_accepted_blocks(self) -> None:
        for agent in self.agents.values():
            held = {block.cidr for block in agent.blocks()}
            assert {cidr for cidr, used in agent.used.items() if used} <= held

    def teardown(self) -> None:
        """Left alone, every history ends in a cluster that needs no more writes, with a block on every
        node."""
        if not self.cluster.pools:
            return
        self.pool_changes("Active")
        self.pods_end(set(NAMES), False)
        self.cluster.add(*(node(name) for name in NAMES))
        for _ in range(40):
            self.clock_s += 30
            self.deliver_all()
            self.operator_passes(set(NAMES), ["done"] * 3)
            self.agents_speak(set(NAMES), set(NAMES))
        self.deliver_all()
        assert not self.plan().node_writes
        assert all(agent.active() for agent in self.agents.values())


def without_nodes(plan: ClusterPlan) -> ClusterPlan:
    """What the machine does not write itself."""
    return ClusterPlan(finalizers=plan.finalizers, pool_writes=plan.pool_writes)


TestBlocks = Blocks.TestCase
TestBlocks.settings = settings(
    max_examples=60, stateful_step_count=50, deadline=None, suppress_health_check=list(HealthCheck)
)


@pytest.mark.parametrize("seed", range(6))
def test_long_random_histories_keep_blocks_apart(seed: int) -> None:
    """The same machine, walked at random for long: rare coincidences need length more than shrinking."""
    dice, machine = random.Random(seed), Blocks()
    machine.found(eight=bool(seed % 2))
    for _ in range(STEPS):
        step(machine, dice)
        machine.no_block_is_in_use_on_two_nodes()
        machine.no_live_address_is_outside_the_accepted_blocks()
    machine.teardown()


def step(machine: Blocks, dice: random.Random) -> None:
    """One rule with random arguments; operator and agents act most of the time."""

    def subset() -> set[str]:
        return {name for name in NAMES if dice.random() < 0.5}

    chance = dice.random()
    if chance < 0.35:
        machine.operator_passes(subset(), dice.choices(FATES, (6, 1, 2), k=3))
    elif chance < 0.65:
        machine.agents_speak(subset(), subset())
    elif chance < 0.8:
        machine.pods_start({name: dice.randint(1, 12) for name in subset()})
    elif chance < 0.9:
        machine.pods_end(subset(), dice.random() < 0.3)
    else:
        rare(machine, dice)


def rare(machine: Blocks, dice: random.Random) -> None:
    name = dice.choice(NAMES)
    machine.clock_s += dice.choice((0.1, 5))
    deeds = (
        lambda: machine.object_is_deleted(name),
        lambda: machine.spec_comes_back_from_the_past(name, dice.randint(1, 4)),
        lambda: machine.pool_changes(dice.choice(("Active", "Active", "Draining", "Disabled"))),
        lambda: machine.node_flaps(name),
        lambda: None if machine.unspoken else machine.another_operator_takes_over(),
    )
    dice.choice(deeds)()
