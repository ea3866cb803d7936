"""A whole sandbox: up from whatever is there, down to nothing, and what state it is in."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from sandbox import controlplane, links, machine, node, packages, pki, processes, programs, tor
from sandbox.processes import Program
from sandbox.progress import SandboxError, step, wait_until
from sandbox.shell import attempt, run
from sandbox.state import State
from sandbox.topology import Machine, Topology


def prepare(place: State, plan: Topology) -> None:
    """Packages and programs; nothing runs yet. Raises SandboxError where no sandbox can run."""
    refuse_place(place)
    packages.ensure()
    refuse_foreign(place, plan)
    programs.build()
    programs.pause()
    programs.link_all(place)


def up(place: State, plan: Topology) -> None:
    """Start what does not run yet: machines, control plane, nodes. Safe to repeat."""
    with step("machines, links, certificates"):
        place.remember(plan)
        pki.ensure(place, plan)
        write_configurations(place, plan)
        for one in plan.machines:
            machine.power_on(place, plan, one)
    with step("router"):
        start(place, plan, plan.tor, "bird")
        # Nodes may have come or gone since BIRD read its file.
        run(inside(place, plan.tor, ["birdc", "-s", tor.CONTROL, "configure"]), timeout_s=20)
    with step("control plane"):
        for name in controlplane.PROGRAMS:
            start(place, plan, plan.core, name)
    with step(f"{len(plan.nodes)} nodes"):
        start_nodes(place, plan)
        retire_nodes(place, plan)


def retire_nodes(place: State, plan: Topology) -> None:
    """Take away machines and Node objects of nodes that a smaller sandbox no longer has."""
    wanted = {one.name for one in plan.nodes}
    for namespace in machine.existing(plan.name):
        name = namespace.rpartition("-")[2]
        if name.startswith("node") and name not in wanted:
            remove_namespace(place, plan, namespace)
            kubectl(place, "delete", "node", name, "--ignore-not-found")


def refuse_place(place: State) -> None:
    """Raise where no sandbox can run at all."""
    if os.geteuid():
        raise SandboxError("a sandbox makes namespaces and mounts: run as root")
    for folder in ("/etc", "/opt", "/var"):
        if place.root.is_relative_to(folder):
            raise SandboxError(
                f"{place.root} lies below {folder}, which machines see as an overlay: move the checkout"
            )


def refuse_foreign(place: State, plan: Topology) -> None:
    """Raise when another checkout runs a sandbox of the same name: both would fight for the same names."""
    for namespace in machine.existing(plan.name):
        found = machine.owner(namespace)
        if found and found != str(place.root) and Path(found).exists():
            raise SandboxError(
                f"{namespace} belongs to the sandbox in {found}: run `python -m sandbox down` first, "
                "or choose another name with SANDBOX=NAME"
            )
        if found != str(place.root) or not place.root.joinpath("cluster.json").exists():
            remove_namespace(place, plan, namespace)


def remove_namespace(place: State, plan: Topology, namespace: str) -> None:
    """End a machine that nobody's files describe any more."""
    name = namespace.rpartition("-")[2]
    machine.power_off(place, plan, Machine(name, namespace, plan.ext.v4, plan.ext.v6))


def write_configurations(place: State, plan: Topology) -> None:
    """Every file that a program of the sandbox reads at its start."""
    tor.write_configuration(place, plan)
    pki.write_kubeconfig(place, place.kubeconfig, "admin", str(plan.core_address))
    for identity in ("controller-manager", "scheduler"):
        pki.write_kubeconfig(place, place.etc / f"{identity}.kubeconfig", identity, str(plan.core.v4))
    for one in plan.nodes:
        node.write_configuration(place, one)
        pki.write_kubeconfig(place, place.etc / one.name / "kubeconfig", one.name, str(plan.core.v4))


def program(place: State, plan: Topology, one: Machine, name: str) -> Program:
    """The program of that name on that machine. Raises SandboxError with the names there are."""
    known = programs_of(one)
    if name not in known:
        raise SandboxError(f"{one.name} has no program {name}; it has: {' '.join(known) or 'none'}")
    if one.name == "core":
        return controlplane.program(place, plan, name)
    return tor.program(place) if one.name == "tor" else node.program(place, one, name)


def programs_of(one: Machine) -> tuple[str, ...]:
    """What runs on a machine, in the order in which it starts."""
    return {"core": controlplane.PROGRAMS, "tor": ("bird",), "ext": ()}.get(one.name, node.PROGRAMS)


def start(place: State, plan: Topology, one: Machine, name: str) -> None:
    """Start a program and wait until it serves. Raises SandboxError with its log's end and a likely cause."""
    wanted = program(place, plan, one, name)
    init = machine.init(place, one)
    if init is None:
        raise SandboxError(f"{one.name} is off: power it on first")
    processes.start(place, wanted, init, machine.own_group(one))
    serves, timeout_s = serving(place, plan, one, name)
    if serves is None:
        return

    def settled() -> bool:
        return processes.running(place, one.name, name) is None or serves()

    wait_until(settled, timeout_s, lambda: processes.explain(place, wanted, "does not serve"), 0.1)
    if processes.running(place, one.name, name) is None:
        raise SandboxError(processes.explain(place, wanted, "it should run"))


def serving(place: State, plan: Topology, one: Machine, name: str) -> tuple[Callable[[], bool] | None, float]:
    """How to see that a program serves, and how long that may take; None where being alive is enough."""
    if name == "kube-apiserver":
        return (lambda: controlplane.api_ready(place, plan)), 90
    if name == "containerd":
        argv = [place.bin / "ctr", "-a", node.SOCKET, "version"]
        return (lambda: attempt(inside(place, one, argv), timeout_s=10).returncode == 0), 30
    if name == "bird":
        status = ["birdc", "-s", tor.CONTROL, "show", "status"]
        return (lambda: attempt(inside(place, one, status)).returncode == 0), 10
    return None, 0


def inside(place: State, one: Machine, argv: Sequence[object]) -> list[str]:
    """The command that runs another command on a machine. Raises SandboxError when the machine is off."""
    init = machine.init(place, one)
    if init is None:
        raise SandboxError(f"{one.name} is off: power it on first")
    return ["nsenter", "-t", str(init), "-m", "-u", "-n", "-p", "--wdns=/", "--", *map(str, argv)]


def kubectl(place: State, *words: str, timeout_s: float = 60, stdin: str | None = None) -> str:
    """What kubectl prints. Raises SandboxError with what it complains about."""
    argv = [place.bin / "kubectl", f"--kubeconfig={place.kubeconfig}", *words]
    return run(argv, timeout_s=timeout_s, stdin=stdin)


def start_nodes(place: State, plan: Topology) -> None:
    """containerd and kubelet everywhere, then wait until every node has registered."""
    for name in node.PROGRAMS:
        for one in plan.nodes:
            start(place, plan, one, name)
    names = {one.name for one in plan.nodes}

    def late() -> list[str]:
        there = kubectl(place, "get", "nodes", "-o", "jsonpath={.items[*].metadata.name}").split()
        return sorted(names - set(there))

    def missing() -> str:
        kubelet = node.program(place, plan.machine((late() or sorted(names))[0]), "kubelet")
        return processes.explain(place, kubelet, f"{late()} did not register")

    wait_until(lambda: not late(), 60, missing, 0.2)


def down(place: State, plan: Topology) -> None:
    """Remove all processes, namespaces, mounts, groups, links and state of the sandbox, whoever made it."""
    if not shutil.which("ip"):
        # Without iproute2 no sandbox was ever started here.
        return
    for namespace in machine.existing(plan.name):
        remove_namespace(place, plan, namespace)
    for one in plan.machines:
        machine.power_off(place, plan, one)
    links.disconnect_host(plan)
    # Thousands of links to image files: rm is faster than a walk in Python.
    run(["rm", "-rf", place.root / "disk"], timeout_s=300)
    for entry in ("bin", "context", "e2e", "etc", "log", "pki", "run", "kubeconfig", "cluster.json"):
        path = place.root / entry
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def power_on(place: State, plan: Topology, one: Machine) -> None:
    """Boot a machine and start what runs on it."""
    machine.power_on(place, plan, one)
    for name in programs_of(one):
        start(place, plan, one, name)
