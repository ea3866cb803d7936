"""The address plan of a sandbox."""

import itertools

import pytest

from sandbox.topology import TopologyError, host_link_network, topology


def test_no_two_machines_share_an_address_or_a_namespace() -> None:
    plan = topology("", 5)

    assert len({machine.v4 for machine in plan.machines}) == len(plan.machines)
    assert len({machine.v6 for machine in plan.machines}) == len(plan.machines)
    assert len({machine.namespace for machine in plan.machines}) == len(plan.machines)


def test_a_node_has_its_number_in_both_of_its_addresses() -> None:
    node = topology("", 3).machine("node3")

    assert (str(node.v4), str(node.v6)) == ("10.250.0.13", "fd00:250::13")


def test_two_sandboxes_share_no_name_on_the_host() -> None:
    default, other = topology("", 3), topology("other", 3)

    assert {machine.namespace for machine in default.machines}.isdisjoint(
        machine.namespace for machine in other.machines
    )
    assert default.host_link != other.host_link


def test_two_sandboxes_share_no_address_on_the_host() -> None:
    names = ["", "other", "ci", "a", "b", "gone", "bench"]

    for one, two in itertools.combinations(names, 2):
        assert not host_link_network(one).overlaps(host_link_network(two))


def test_names_of_interfaces_fit_into_the_kernels_fifteen_bytes() -> None:
    plan = topology("abcdefgh", 200)

    assert len(plan.host_link) <= 15
    assert all(len(machine.name) <= 15 for machine in plan.machines)


@pytest.mark.parametrize("name", ["Other", "a-b", "1st", "bin", "core", "node1", "ninechars", "../x"])
def test_a_name_that_cannot_be_a_folder_beside_the_others_is_refused(name: str) -> None:
    with pytest.raises(TopologyError, match="sandbox name"):
        topology(name, 3)


@pytest.mark.parametrize("nodes", [0, -1, 201])
def test_a_number_of_nodes_out_of_range_is_refused(nodes: int) -> None:
    with pytest.raises(TopologyError, match="nodes"):
        topology("", nodes)


def test_asking_for_a_machine_that_is_not_there_names_those_that_are() -> None:
    with pytest.raises(TopologyError, match="tor core ext node1 node2"):
        topology("", 2).machine("node3")
