"""A container runtime's part of the benchmark: runs CNI plugins inside one contender's own namespaces.

`python caller.py CONFIG` reads one JSON command per line and answers one JSON line each. It needs nothing
but the standard library, and runs in private network and mount namespaces. CONFIG is a JSON file:
{"plugin": path, "conf": path of the network configuration for every call's stdin, "netns": folder}.

    {"do": "create", "first": 180, "count": 20}                     new namespaces in place of the old
    {"do": "run", "verb": "ADD", "pods": [[0, "c0"]], "threads": 1}  [namespace, container id] each
    {"do": "cycle", "pods": [...], "threads": 16}                   ADD and then DEL of each
    {"do": "links"}                                                 how many links this namespace has
"""

import ctypes
import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ANSWER_MAX = 1 << 20


class Caller:
    """One contender's plugin and pods."""

    def __init__(self, config: dict[str, str]) -> None:
        self._plugin, self._conf = config["plugin"], config["conf"]
        self._folder = Path(config["netns"])
        self._path = str(Path(self._plugin).parent)

    def create(self, first: int, count: int) -> dict[str, object]:
        libc = ctypes.CDLL(None, use_errno=True)
        home = os.open("/proc/self/ns/net", os.O_RDONLY)
        for number in range(first, first + count):
            target = self._folder / str(number)
            if target.exists():
                libc.umount2(str(target).encode(), 2)
            target.touch()
            if libc.unshare(0x40000000) or libc.mount(
                b"/proc/self/ns/net", str(target).encode(), b"none", 4096, None
            ):
                raise OSError(ctypes.get_errno(), "new network namespace")
            libc.setns(home, 0)
        os.close(home)
        return {"created": count}

    def run(self, verb: str, pods: list[tuple[int, str]], threads: int) -> dict[str, object]:
        began = time.perf_counter()
        with ThreadPoolExecutor(threads) as pool:
            done = list(pool.map(lambda pod: self._call(verb, *pod), pods))
        return {
            "elapsed_s": time.perf_counter() - began,
            verb: [seconds for seconds, _ in done],
            "errors": [error for _, error in done if error],
        }

    def cycle(self, pods: list[tuple[int, str]], threads: int) -> dict[str, object]:
        began = time.perf_counter()
        with ThreadPoolExecutor(threads) as pool:
            done = list(pool.map(lambda pod: (self._call("ADD", *pod), self._call("DEL", *pod)), pods))
        return {
            "elapsed_s": time.perf_counter() - began,
            "ADD": [add[0] for add, _ in done],
            "DEL": [delete[0] for _, delete in done],
            "errors": [error for calls in done for _, error in calls if error],
        }

    def links(self) -> dict[str, object]:
        with open("/proc/net/dev") as table:
            return {"links": len(table.readlines()) - 2}

    def _call(self, verb: str, number: int, container_id: str) -> tuple[float, str]:
        env = {
            "CNI_COMMAND": verb,
            "CNI_CONTAINERID": container_id,
            "CNI_NETNS": str(self._folder / str(number)),
            "CNI_IFNAME": "eth0",
            "CNI_PATH": self._path,
            "CNI_ARGS": f"IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=web-{number}",
        }
        seconds, status, answer = call_plugin(self._plugin, self._conf, env)
        return seconds, f"{verb} {container_id}: {answer.decode()}" if status else ""


def call_plugin(plugin: str, conf: str, env: dict[str, str]) -> tuple[float, int, bytes]:
    """(seconds from start to end, exit status, stdout) of one call with the file `conf` on stdin."""
    began = time.perf_counter()
    reader, writer = os.pipe()
    actions = [(os.POSIX_SPAWN_OPEN, 0, conf, os.O_RDONLY, 0), (os.POSIX_SPAWN_DUP2, writer, 1)]
    pid = os.posix_spawn(plugin, [plugin], env, file_actions=actions)
    os.close(writer)
    answer = b""
    while chunk := os.read(reader, ANSWER_MAX):
        answer += chunk
    os.close(reader)
    _, status = os.waitpid(pid, 0)
    return time.perf_counter() - began, status, answer


def main() -> None:
    """Serves commands until stdin ends."""
    config = json.loads(Path(sys.argv[1]).read_text())
    # Private mounts, so that the pods' namespaces go away with this process.
    subprocess.run(["mount", "--make-rprivate", "/"], check=True)
    subprocess.run(["mount", "-t", "tmpfs", "pods", config["netns"]], check=True)
    caller = Caller(config)
    for line in sys.stdin:
        command = json.loads(line)
        answer = getattr(caller, command.pop("do"))(**command)
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
