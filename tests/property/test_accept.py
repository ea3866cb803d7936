"""No offer, in any order, takes a block away that was not seen drained."""

from hypothesis import given
from hypothesis import strategies as st

from fairlead_core.accept import accept
from fairlead_core.api import HeldBlock, NodeNetworkSpec
from fairlead_core.outcome import Rejected
from tests.fakes.ipam import pool, spec

CIDRS = ("10.0.0.0/26", "10.0.0.64/26", "10.0.0.128/26")
POOLS = (pool("blue"), pool("green"))

offers = st.builds(
    lambda revision, blocks, pools: spec(*blocks, pools=pools, revision=revision),
    st.integers(0, 6),
    st.lists(
        st.tuples(
            st.sampled_from(CIDRS),
            st.sampled_from(("blue", "green")),
            st.sampled_from(("Active", "Draining")),
        ),
        max_size=3,
    ),
    st.sampled_from((POOLS, POOLS[:1], ())),
)
held_blocks = st.lists(
    st.builds(
        HeldBlock,
        st.sampled_from(CIDRS),
        st.sampled_from(("blue", "green")),
        st.sampled_from(("Active", "Draining", "Drained")),
        used=st.integers(0, 2),
    ),
    max_size=3,
    unique_by=lambda block: block.cidr,
)


@given(offers, held_blocks)
def test_an_accepted_spec_has_every_block_that_is_not_drained(
    offered: NodeNetworkSpec, held: list[HeldBlock]
) -> None:
    accepted = accept(None, offered, held)

    if isinstance(accepted, NodeNetworkSpec):
        kept = {(block.cidr, block.pool) for block in accepted.blocks}
        assert {(block.cidr, block.pool) for block in held if block.state != "Drained"} <= kept


@given(st.lists(offers, max_size=8))
def test_the_accepted_revision_never_goes_back_and_grows_with_every_change(
    stream: list[NodeNetworkSpec],
) -> None:
    last: NodeNetworkSpec | None = None
    for offered in stream:
        accepted = accept(last, offered, ())
        if isinstance(accepted, Rejected):
            continue
        if last is not None and accepted != last:
            assert accepted.revision > last.revision
        last = accepted


@given(offers, held_blocks)
def test_what_was_accepted_is_accepted_again(offered: NodeNetworkSpec, held: list[HeldBlock]) -> None:
    accepted = accept(None, offered, held)

    if isinstance(accepted, NodeNetworkSpec):
        assert accept(accepted, accepted, held) == accepted
