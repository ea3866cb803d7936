"""The words a person can say to the sandbox."""

from __future__ import annotations

import argparse
import os
import signal
import sys

from sandbox import (
    cluster,
    containers,
    e2e,
    images,
    install,
    links,
    machine,
    packages,
    processes,
    programs,
    seed,
)
from sandbox.progress import SandboxError, say, step
from sandbox.state import State, locked, state
from sandbox.topology import Machine, Topology, TopologyError, topology

DEFAULT_NODES = 3
SIGNALS = {"pause": signal.SIGSTOP, "resume": signal.SIGCONT}
CONTAINER_SIGNALS = {"kill": signal.SIGKILL, **SIGNALS}


def parser() -> argparse.ArgumentParser:
    """The command line. `--name` and the variable SANDBOX name a sandbox beside the default one."""
    top = argparse.ArgumentParser(prog="python -m sandbox", description=__doc__)
    top.add_argument("--name", default=os.environ.get("SANDBOX", ""), help="a sandbox beside the default")
    verbs = top.add_subparsers(dest="verb", required=True)
    up = verbs.add_parser("up", help="start the cluster, or what of it does not run")
    up.add_argument("--nodes", type=int, help=f"how many (default: as it runs, else {DEFAULT_NODES})")
    up.add_argument("--bare", action="store_true", help="without images and chart: nodes stay NotReady")
    verbs.add_parser("down", help="remove it without a trace")
    verbs.add_parser("status", help="what runs")
    verbs.add_parser("image", help="only build Fairlead's image, and fill build/image for other builders")
    elsewhere = verbs.add_parser("install", help="install the chart on a cluster that is not ours")
    elsewhere.add_argument("--kubeconfig", default=os.environ.get("KUBECONFIG", ""))
    elsewhere.add_argument("helm", nargs=argparse.REMAINDER, help="words for helm, after --")
    build = verbs.add_parser("build", help="only build programs")
    build.add_argument("programs", nargs="*", help=f"some of: {' '.join(programs.PACKAGES)}")
    e2e_words = verbs.add_parser("e2e", help="run Kubernetes' own end-to-end tests")
    e2e_words.add_argument("--focus", default="", help="regular expression of tests to run")
    e2e_words.add_argument("--skip", default="", help="regular expression of tests to leave out")
    inside = verbs.add_parser("exec", help="run a command on a machine")
    inside.add_argument("machine")
    inside.add_argument("command", nargs=argparse.REMAINDER)
    for verb in ("kill", "stop", "start", *SIGNALS):
        signals = verbs.add_parser(verb, help=f"{verb} a program on a machine")
        signals.add_argument("machine")
        signals.add_argument("programs", nargs="+")
    for verb in ("power-off", "power-on", "link-down", "link-up"):
        verbs.add_parser(verb, help=f"{verb} a machine").add_argument("machine")
    return top


def main(words: list[str] | None = None) -> int:
    """Do what the words say; the exit code is 0 when it is done, 1 with one clear message when not."""
    arguments = parser().parse_args(words)
    try:
        return run(arguments)
    except (SandboxError, TopologyError) as error:
        say(f"sandbox: {error}")
    except BrokenPipeError:
        # Whoever read our output has seen enough; closing it again at exit would complain once more.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except KeyboardInterrupt:
        say("sandbox: interrupted; `make up` goes on from here, `make down` removes what there is")
        return 130
    return 1


def run(arguments: argparse.Namespace) -> int:
    """One verb. Raises SandboxError or TopologyError."""
    place = state(arguments.name)
    nodes = getattr(arguments, "nodes", None) or place.nodes() or DEFAULT_NODES
    plan = topology(arguments.name, nodes)
    if arguments.verb == "exec":
        execute(place, plan.machine(arguments.machine), arguments.command)
    if arguments.verb == "status":
        return status(place, plan)
    if arguments.verb == "e2e":
        return e2e.run(place, plan, arguments.focus, arguments.skip)
    if arguments.verb in WITHOUT_CLUSTER:
        WITHOUT_CLUSTER[arguments.verb](arguments)
        return 0
    with locked(place):
        change(place, plan, arguments)
    if arguments.verb == "up" and not arguments.bare:
        with step("nodes Ready"):
            install.wait_ready(place, plan)
        say(f"up. export KUBECONFIG={place.kubeconfig}  PATH={place.bin}:$PATH")
    return 0


def build(arguments: argparse.Namespace) -> None:
    packages.ensure()
    programs.build(arguments.programs or programs.ALWAYS)


def image(_: argparse.Namespace) -> None:
    packages.ensure()
    print(images.fairlead().reference)


def install_elsewhere(arguments: argparse.Namespace) -> None:
    install.elsewhere(arguments.kubeconfig, [word for word in arguments.helm if word != "--"])


WITHOUT_CLUSTER = {"build": build, "image": image, "install": install_elsewhere}


def change(place: State, plan: Topology, arguments: argparse.Namespace) -> None:
    """The verbs that change something, under the sandbox's lock."""
    verb = arguments.verb
    if verb == "up":
        up(place, plan, arguments.bare)
        return
    if verb == "down":
        cluster.down(place, plan)
        return
    one = plan.machine(arguments.machine)
    if verb in ("power-off", "power-on", "link-down", "link-up"):
        change_machine(place, plan, one, verb)
        return
    for name in arguments.programs:
        change_program(place, plan, one, name, verb)


def up(place: State, plan: Topology, bare: bool) -> None:
    cluster.prepare(place, plan)
    if not bare:
        grown = seed.seed()
        for one in plan.nodes:
            seed.plant(place, one, grown)
    cluster.up(place, plan)
    if not bare:
        install.up(place, plan)


def change_machine(place: State, plan: Topology, one: Machine, verb: str) -> None:
    if verb == "power-off":
        machine.power_off(place, plan, one)
    elif verb == "power-on":
        cluster.power_on(place, plan, one)
    else:
        links.set_link(plan, one, verb.removeprefix("link-"))


def change_program(place: State, plan: Topology, one: Machine, name: str, verb: str) -> None:
    """A program of the machine itself, or, to kill, pause and resume, any process name in the pods on it."""
    if verb in CONTAINER_SIGNALS and name not in cluster.programs_of(one):
        if not containers.send(one, name, CONTAINER_SIGNALS[verb]):
            raise SandboxError(f"no pod on {one.name} runs a process named {name}")
        return
    cluster.program(place, plan, one, name)
    if verb == "start":
        cluster.start(place, plan, one, name)
    elif verb == "stop":
        processes.stop(place, one.name, name)
    elif verb == "kill":
        if not processes.kill(place, one.name, name):
            raise SandboxError(f"{name} on {one.name} does not run")
    elif not processes.send(place, one.name, name, SIGNALS[verb]):
        raise SandboxError(f"{name} on {one.name} does not run")


def execute(place: State, one: Machine, command: list[str]) -> None:
    """Become a command on a machine, in its cgroup: what holds for its processes holds for this one."""
    words = command[1:] if command[:1] == ["--"] else command
    argv = cluster.inside(place, one, words or ["bash"])
    (machine.own_group(one) / "cgroup.procs").write_text("0")
    sys.stdout.flush()
    os.execvp("nsenter", argv)


def status(place: State, plan: Topology) -> int:
    """Print what runs; 0 when everything does."""
    complete = True
    for one in plan.machines:
        on = machine.init(place, one) is not None
        alive = {name: processes.running(place, one.name, name) for name in cluster.programs_of(one)}
        complete = complete and on and all(alive.values())
        shown = ", ".join(f"{name} {'up' if pid else 'DOWN'}" for name, pid in alive.items())
        print(f"{one.name:8} {'on ' if on else 'OFF'} {one.v4!s:14} {one.v6!s:16} {shown}".rstrip())
    if complete:
        print(cluster.kubectl(place, "get", "nodes", "-o", "wide").rstrip())
        print(f"export KUBECONFIG={place.kubeconfig}")
    return 0 if complete else 3
