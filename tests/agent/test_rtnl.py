"""Rtnetlink as bytes, against the kernel of this machine; dumps need no rights."""

from __future__ import annotations

import json
import subprocess
from ipaddress import ip_address, ip_network

import pytest

from fairlead_agent.ports import PortError, messages, rtnl
from fairlead_agent.ports.kernel import Route, parse_link, parse_neighbour, parse_route
from fairlead_agent.ports.netlink import Netlink
from fairlead_agent.ports.rtnl import Message, NetlinkError, Reply, RtnlSocket


def ip(*arguments: str) -> list[dict[str, object]]:
    """What iproute2 says: another reader of the same kernel."""
    shown = subprocess.run(["ip", "-j", *arguments], capture_output=True, text=True, timeout=10, check=True)
    return list(json.loads(shown.stdout or "[]"))


def test_links_are_read_as_iproute2_reads_them() -> None:
    expected = {
        (link["ifindex"], link["ifname"], link["mtu"], link["address"]) for link in ip("link", "show")
    }

    found = {(link.index, link.name, link.mtu, link.mac) for link in Netlink().links()}

    assert found == expected


def test_a_missing_link_is_none_and_a_missing_right_an_error_with_its_cause() -> None:
    assert Netlink().link("fl-not-here") is None
    with pytest.raises(PortError, match=r"link fl-not-here get: No such device"):
        RtnlSocket().batch([messages.link_get("fl-not-here")])


def test_an_error_in_the_middle_does_not_hide_the_answers_after_it() -> None:
    netlink = RtnlSocket()

    with pytest.raises(NetlinkError, match="fl-absent"):
        netlink.batch([messages.link_get("lo"), messages.link_get("fl-absent"), messages.link_get("lo")])

    again = netlink.batch([messages.link_get("lo")])
    assert parse_link(again[0]).name == "lo"


def test_each_names_every_failure() -> None:
    failures = RtnlSocket().each(
        [messages.link_get("fl-a"), messages.link_get("lo"), messages.link_get("fl-b")]
    )

    assert [str(failure).split()[1] for failure in failures] == ["fl-a", "fl-b"]


def test_a_tolerated_error_is_success() -> None:
    gone = Message("link fl-gone get", rtnl.RTM_GETLINK, 1, messages.link_get("fl-gone").body, tolerate=(19,))

    assert RtnlSocket().batch([gone]) == []


@pytest.mark.parametrize(
    "route",
    [
        Route(ip_network("10.1.2.3/32"), 254, 7, 0),
        Route(ip_network("fd00::1/128"), 254, 7, 1024),
        Route(ip_network("10.1.2.0/26"), 200, 0, 100_000),
        Route(ip_network("fd00::/122"), 70_000, 0, 100_000),
    ],
)
def test_a_route_is_read_back_as_it_was_written(route: Route) -> None:
    parsed = parse_route(Reply(rtnl.RTM_NEWROUTE, messages.route_put(route).body))

    assert Route(parsed.network, parsed.table, parsed.ifindex, parsed.metric) == route
    assert parsed.protocol == messages.PROTOCOL


def test_a_neighbour_is_read_back_as_it_was_written() -> None:
    for address in (ip_address("10.0.0.1"), ip_address("fd00::1")):
        parsed = parse_neighbour(Reply(28, messages.neighbour_put(address, "f6:00:00:00:00:02", 7).body))

        assert parsed is not None
        assert (parsed.address, parsed.ifindex, parsed.mac) == (address, 7, "f6:00:00:00:00:02")


def test_attributes_of_a_cut_message_do_not_loop() -> None:
    assert rtnl.attributes(b"\x00\x00\x01\x00" + b"\xff" * 6, 0) == {}
    assert rtnl.attributes(b"\x08\x00\x03\x00abcd\x02\x00", 0) == {3: b"abcd"}
