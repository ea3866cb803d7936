"""The ledger under any order of takes, releases, new specs, restarts and clocks set back."""

from ipaddress import ip_network

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from fairlead_core.accept import accept
from fairlead_core.api import NodeNetworkSpec
from fairlead_core.journal import decode, encode
from fairlead_core.lease import Address, Lease
from fairlead_core.ledger import Ledger
from tests.fakes.ipam import COOLDOWN_S, free_record, hold_record, owner, pool, spec, take

CONTAINERS = ("a", "b", "c", "a1", "1a")
BLOCKS = (
    ("10.0.0.0/31", "blue"),
    ("10.0.0.2/31", "blue"),
    ("10.0.0.0/30", "blue"),  # overlaps the first two: a block cut anew
    ("10.9.0.0/31", "green"),
    ("fd00::/126", "red"),
    ("fd00::8/128", "red"),
)
RESERVED = {"blue": ("10.0.0.1",), "green": ("10.9.0.0",), "red": ("fd00::2",)}
FAMILIES = {"blue": "IPv4", "green": "IPv4", "red": "IPv6"}

a_container = st.sampled_from(CONTAINERS)
an_ifname = st.sampled_from(("eth0", "eth1"))
a_state = st.sampled_from(("Active", "Draining"))
grants = st.dictionaries(st.sampled_from(BLOCKS), a_state, max_size=4)
reservations = st.sets(st.sampled_from(sorted(RESERVED)))
some_pools = st.sampled_from((("blue",), ("red",), ("blue", "red"), ("blue", "green", "red")))


class Node(RuleBasedStateMachine):
    """`elapsed` is the true time; what the ledger is told is `elapsed - lag`, and `lag` only grows."""

    def __init__(self) -> None:
        super().__init__()
        self.elapsed, self.lag = 10_000.0, 0.0
        self.ledger = Ledger("node7")
        self.spec: NodeNetworkSpec | None = None
        self.journal = b""
        self.answered: dict[tuple[str, str], Lease] = {}
        self.freed: dict[Address, float] = {}

    @property
    def now(self) -> float:
        return self.elapsed - self.lag

    @initialize(granted=grants, names=some_pools)
    def the_node_joins(self, granted: dict[tuple[str, str], str], names: tuple[str, ...]) -> None:
        self.another_desired_state_lies_on_the_disk(granted, names)

    @rule(seconds=st.sampled_from((0.5, COOLDOWN_S / 2, COOLDOWN_S - 1, COOLDOWN_S)))
    def time_passes(self, seconds: float) -> None:
        self.elapsed += seconds

    @rule(seconds=st.sampled_from((5.0, 300.0)))
    def the_clock_is_set_back(self, seconds: float) -> None:
        self.lag += seconds

    @rule(container=a_container, ifname=an_ifname)
    def a_pod_starts(self, container: str, ifname: str) -> None:
        who = owner(container, ifname)
        lease = take(self.ledger, who, self.now)
        if not isinstance(lease, Lease):
            return
        assert who.key not in self.answered, "a second lease for one owner"
        for address in lease.addresses:
            self.is_free_to_give(address)
        self.journal += encode(hold_record(self.ledger, lease))
        self.answered[who.key] = lease

    def is_free_to_give(self, address: Address) -> None:
        assert self.spec is not None
        assert all(address not in lease.addresses for lease in self.answered.values()), "held twice"
        assert self.elapsed - self.freed.get(address, -1e9) >= COOLDOWN_S, "given while it cools down"
        active = [b for b in self.spec.blocks if b.state == "Active" and address in ip_network(b.cidr)]
        assert len(active) == 1, "not from an Active block"
        reserved = next(p.reserved for p in self.spec.pools if p.name == active[0].pool)
        assert not any(address in ip_network(text) for text in reserved), "reserved"

    @rule(container=a_container, ifname=st.one_of(st.none(), an_ifname))
    def a_pod_ends(self, container: str, ifname: str | None) -> None:
        gone = {key for key in self.answered if key[0] == container and ifname in (None, key[1])}
        for lease in self.ledger.leases_of(container, ifname):
            self.journal += encode(free_record(self.ledger, lease, self.now))
        released = self.ledger.give_back(container, ifname, self.now)
        assert {lease.owner.key for lease in released} == gone
        for lease in released:
            del self.answered[lease.owner.key]
            self.freed.update(dict.fromkeys(lease.addresses, self.elapsed))

    @rule(container=a_container)
    def a_pod_comes_and_goes(self, container: str) -> None:
        self.a_pod_starts(container, "eth0")
        self.a_pod_ends(container, None)

    @rule(granted=grants, names=some_pools, reserved=reservations, step=st.integers(-2, 2))
    def a_spec_is_offered(
        self, granted: dict[tuple[str, str], str], names: tuple[str, ...], reserved: set[str], step: int
    ) -> None:
        revision = max(0, (self.spec.revision if self.spec else 0) + step)
        pools = [pool(name, FAMILIES[name], RESERVED[name] if name in reserved else ()) for name in names]
        blocks = [(cidr, of, state) for (cidr, of), state in granted.items() if of in names]
        offered = spec(*blocks, pools=pools, revision=revision)
        accepted = accept(self.spec, offered, self.ledger.held_blocks(self.now))
        if isinstance(accepted, NodeNetworkSpec):
            self.spec = accepted
            self.ledger.reconfigure(accepted, self.now)

    @rule(granted=grants, names=some_pools)
    def another_desired_state_lies_on_the_disk(
        self, granted: dict[tuple[str, str], str], names: tuple[str, ...]
    ) -> None:
        """Whatever a ledger is told to follow without having been asked: it keeps what is in use."""
        pools = [pool(name, FAMILIES[name]) for name in names]
        blocks = [(cidr, of, state) for (cidr, of), state in granted.items() if of in names]
        other = spec(*blocks, pools=pools, revision=self.spec.revision if self.spec else 0)
        if isinstance(accept(None, other, ()), NodeNetworkSpec):
            self.spec = other
            self.ledger.reconfigure(other, self.now)

    @precondition(lambda self: self.spec is not None)
    @rule(compacted=st.booleans(), torn=st.integers(0, 40))
    def the_agent_restarts(self, compacted: bool, torn: int) -> None:
        if compacted:
            self.journal = b"".join(encode(record) for record in self.ledger.records(self.now))
        replay = decode(self.journal + b"0123abcd {torn and never answered"[:torn])
        assert (replay.good_bytes, replay.damaged) == (len(self.journal), ())
        self.ledger = Ledger("node7")
        self.ledger.replay(replay.records, self.now)
        assert self.spec is not None
        self.ledger.reconfigure(self.spec, self.now)

    @precondition(lambda self: self.spec is not None)
    @rule(backwards=st.booleans())
    def the_journal_is_lost_and_running_pods_are_adopted(self, backwards: bool) -> None:
        assert self.spec is not None
        ledger = Ledger("node7")
        ledger.reconfigure(self.spec, self.now)
        blocks = [ip_network(block.cidr) for block in self.spec.blocks]
        running = list(self.answered.values())
        if not all(any(a in block for block in blocks) for lease in running for a in lease.addresses):
            return  # a block that only the journal knew: its pods are adopted when it is granted again
        for lease in reversed(running) if backwards else running:
            adopted = ledger.adopt(lease, self.now)
            assert isinstance(adopted, Lease)
            self.answered[lease.owner.key] = adopted
        self.ledger = ledger
        self.freed.clear()
        self.journal = b"".join(encode(record) for record in ledger.records(self.now))

    @invariant()
    def every_answered_lease_is_held_and_nothing_else(self) -> None:
        assert {lease.owner.key: lease for lease in self.ledger.leases()} == self.answered

    @invariant()
    def every_held_address_lies_in_a_block_that_is_reported_in_use(self) -> None:
        blocks = self.ledger.held_blocks(self.now)
        held = [address for lease in self.answered.values() for address in lease.addresses]
        assert sum(block.used for block in blocks) == len(held)
        for address in held:
            homes = [b for b in blocks if b.used and address in ip_network(b.cidr)]
            assert homes, f"{address} is in no reported block"

    @invariant()
    def no_drained_block_has_an_address_that_cools_down(self) -> None:
        drained = [ip_network(b.cidr) for b in self.ledger.held_blocks(self.now) if b.state == "Drained"]
        for address, at in self.freed.items():
            if self.elapsed - at < COOLDOWN_S:
                assert not any(address in network for network in drained)

    @invariant()
    def what_is_free_can_be_taken(self) -> None:
        usage = self.ledger.usage(self.now)
        for name, numbers in usage.items():
            blocks = [b for b in self.ledger.held_blocks(self.now) if b.pool == name]
            assert numbers.free == sum(b.free for b in blocks) >= 0
            assert 0 <= numbers.wanted <= 256


TestNode = Node.TestCase
TestNode.settings = settings(max_examples=120, stateful_step_count=40, deadline=None)
