"""`fairlead`, also `kubectl fairlead`: reads the cluster, makes a view, prints it.

exit 0   healthy, or the answer was found
exit 1   degraded, or what was asked for does not exist
exit 2   the cluster could not be asked
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Final, NoReturn

import typer

from fairlead_cli import __version__, cluster
from fairlead_cli.bgp_view import bgp_view
from fairlead_cli.errors import explain
from fairlead_cli.ipam_view import Address, address_view, block_around, ipam_view, shortage_view
from fairlead_cli.output import Output, complain, print_json, print_lines, print_tables
from fairlead_cli.pod_view import pod_view
from fairlead_cli.pods import Pod
from fairlead_cli.status_view import StatusView, status_view
from fairlead_cli.tables import bgp_tables, ipam_tables, status_tables
from fairlead_kube.client import KubeClient
from fairlead_kube.errors import KubeError

HEALTHY: Final = 0
DEGRADED: Final = 1
UNREACHABLE: Final = 2

OutputOption = Annotated[Output, typer.Option("--output", "-o", help="table, wide or json")]
KubeconfigOption = Annotated[Path | None, typer.Option("--kubeconfig", help="kubeconfig file")]
ContextOption = Annotated[str | None, typer.Option("--context", help="context of the kubeconfig")]
NamespaceOption = Annotated[str, typer.Option("--namespace", "-n", help="namespace of the pod")]

app = typer.Typer(
    help="What Fairlead does in a cluster: addresses, routes, health.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
ipam_app = typer.Typer(help="Pools, blocks and addresses.")
app.add_typer(ipam_app, name="ipam")


@app.command()
def status(
    output: OutputOption = Output.table, kubeconfig: KubeconfigOption = None, context: ContextOption = None
) -> None:
    """Nodes, agents, peers and pools at a glance. Exit code 0 healthy, 1 degraded, 2 unreachable."""
    with asking(kubeconfig, context) as client:
        view = status_view(cluster.read_cluster(client))
    if output is Output.json:
        print_json(view)
    else:
        _print_status(view, wide=output is Output.wide)
    raise typer.Exit(HEALTHY if view.healthy else DEGRADED)


@ipam_app.callback(invoke_without_command=True)
def ipam(
    chosen: typer.Context,
    output: OutputOption = Output.table,
    kubeconfig: KubeconfigOption = None,
    context: ContextOption = None,
) -> None:
    """Pools with their numbers, and the blocks that each node holds."""
    if chosen.invoked_subcommand is not None:
        return
    with asking(kubeconfig, context) as client:
        view = ipam_view(cluster.read_cluster(client))
    if output is Output.json:
        print_json(view)
    else:
        print_tables(ipam_tables(view, wide=output is Output.wide))


@ipam_app.command()
def show(
    target: Annotated[str, typer.Argument(metavar="ADDRESS|POD", help="an address, or [NAMESPACE/]POD")],
    namespace: NamespaceOption = "",
    output: OutputOption = Output.table,
    kubeconfig: KubeconfigOption = None,
    context: ContextOption = None,
) -> None:
    """Who holds an address, or which addresses a pod holds: block, pool and node of each."""
    with asking(kubeconfig, context) as client:
        address = _address(target)
        if address is None:
            _show_pod(client, target, namespace, output)
        else:
            _show_address(client, address, output)


@ipam_app.command()
def why(
    node: Annotated[str, typer.Argument(help="name of a node")],
    output: OutputOption = Output.table,
    kubeconfig: KubeconfigOption = None,
    context: ContextOption = None,
) -> None:
    """Why a node has no address to give, in its agent's and the pools' words (exit code 1 when so)."""
    with asking(kubeconfig, context) as client:
        view = shortage_view(cluster.read_cluster(client), node)
    if view is None:
        _missing(f"node {node} has no NodeNetwork: is that its name, and does the operator run?")
    if output is Output.json:
        print_json(view)
    else:
        print_lines(view.reasons)
    raise typer.Exit(DEGRADED if view.short else HEALTHY)


@app.command()
def bgp(
    node: Annotated[str, typer.Argument(help="only this node")] = "",
    output: OutputOption = Output.table,
    kubeconfig: KubeconfigOption = None,
    context: ContextOption = None,
) -> None:
    """Sessions, what is really announced, and how that differs from what should be (exit code 1)."""
    with asking(kubeconfig, context) as client:
        view = bgp_view(cluster.read_cluster(client), node)
    if output is Output.json:
        print_json(view)
    else:
        print_tables(bgp_tables(view, wide=output is Output.wide))
        print_lines([""] if view.differences else [])
        print_lines(view.differences, style="red")
    raise typer.Exit(DEGRADED if view.differences else HEALTHY)


@app.command()
def version() -> None:
    """The version of this program."""
    print_lines([f"fairlead {__version__}"])


@contextmanager
def asking(kubeconfig: Path | None, context: str | None) -> Iterator[KubeClient]:
    """A client; whatever keeps the cluster from answering ends the program with one line and exit code 2."""
    server = ""
    try:
        client = cluster.connect(os.environ, kubeconfig, context)
        server = client.config.server
        yield client
    except KubeError as error:
        complain(explain(error, server))
        raise typer.Exit(UNREACHABLE) from None


def main() -> None:
    """Entry point of `fairlead` and `kubectl-fairlead`."""
    try:
        app()
    except BrokenPipeError:
        # `fairlead ipam | head` closes early; a second flush at exit would complain once more.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _print_status(view: StatusView, wide: bool) -> None:
    print_lines([view.summary], style="green" if view.healthy else "bold red")
    print_lines([f"  {problem}" for problem in view.problems], style="red")
    print_lines([""])
    print_tables(status_tables(view, wide))


def _show_address(client: KubeClient, address: Address, output: Output) -> None:
    seen = cluster.read_cluster(client)
    view = address_view(seen, address, _candidates(client, seen, address))
    print_json(view) if output is Output.json else print_lines([view.told])
    raise typer.Exit(HEALTHY if len(view.holders) == 1 else DEGRADED)


def _show_pod(client: KubeClient, target: str, namespace: str, output: Output) -> None:
    first, _, last = target.rpartition("/")
    try:
        pod = cluster.read_pod(client, first or namespace or client.config.namespace, last)
    except KubeError as error:
        if not error.not_found:
            raise
        _missing(f"there is no pod {first or namespace or client.config.namespace}/{last}")
    view = pod_view(cluster.read_cluster(client), pod)
    print_json(view) if output is Output.json else print_lines(view.told)


def _candidates(client: KubeClient, seen: cluster.Cluster, address: Address) -> tuple[Pod, ...]:
    """Pods that may hold the address: those of the block's node, and any whose first address it is."""
    block = block_around(seen, address)
    nearby = cluster.read_pods_of(client, block.node) if block else ()
    anywhere = cluster.read_pods_with(client, str(address))
    return tuple({pod.metadata.uid: pod for pod in (*nearby, *anywhere)}.values())


def _address(text: str) -> Address | None:
    try:
        return ip_address(text)
    except ValueError:
        return None


def _missing(line: str) -> NoReturn:
    complain(line)
    raise typer.Exit(DEGRADED)
