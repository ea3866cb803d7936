"""May this node take over the desired state that it is offered?"""

from collections.abc import Sequence

from fairlead_core.api import HeldBlock, NodeNetworkSpec
from fairlead_core.outcome import Rejected


def accept(
    last: NodeNetworkSpec | None, offered: NodeNetworkSpec, held: Sequence[HeldBlock]
) -> NodeNetworkSpec | Rejected:
    """The spec to follow from now on, or why `last` stays in force (reason SpecRefused).

    `held` is what Ledger.held_blocks() says now. Accepted is an offer with a newer revision, or with the same
    content as `last`, that keeps every held block unless it is Drained.
    """
    raise NotImplementedError
