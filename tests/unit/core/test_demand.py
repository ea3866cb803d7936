"""How many free addresses a node asks for."""

from fairlead_core.demand import WANTED_MAX, WANTED_MIN, Demand


def test_an_idle_node_asks_for_the_minimum() -> None:
    assert Demand().wanted(1e9) == WANTED_MIN


def test_a_busy_minute_is_remembered_for_ten() -> None:
    demand = Demand()
    for _ in range(100):
        demand.took(600.0)

    assert [demand.wanted(600.0), demand.wanted(1199.0), demand.wanted(1320.0)] == [100, 100, WANTED_MIN]


def test_pods_without_an_address_are_asked_for_once_each_until_served_or_gone() -> None:
    demand = Demand()
    for _ in range(50):
        demand.lacked("ns/a", 0.0)
        demand.lacked("ns/b", 30.0)

    assert demand.wanted(31.0) == WANTED_MIN + 2
    assert demand.wanted(61.0) == WANTED_MIN + 1
    demand.served("ns/b")
    assert demand.wanted(61.0) == WANTED_MIN


def test_no_burst_asks_for_more_than_the_maximum() -> None:
    demand = Demand()
    for _ in range(10 * WANTED_MAX):
        demand.took(0.0)

    assert demand.wanted(0.0) == WANTED_MAX


def test_a_clock_set_back_does_not_lose_the_count() -> None:
    demand = Demand()
    demand.took(10_000.0)
    for _ in range(99):
        demand.took(100.0)

    assert demand.wanted(100.0) == 100
