"""Traffic that notices: runs inside test pods and beside them, needs only Python's standard library.

    flows.py serve PORT                     TCP and UDP echo; "who" answers the source address
    flows.py who PORT ADDRESS               prints what ADDRESS sees as our source
    flows.py probe REPORT PORT ADDRESS...   one long-lived TCP connection and one UDP flow to every address

The prober rewrites REPORT (JSON) twice a second: per flow how many messages were sent and answered, how
often a TCP connection broke and why, and the longest silence in seconds.
"""

import asyncio
import json
import os
import sys
import time
from dataclasses import asdict, dataclass

INTERVAL_S = 0.05
TCP_PATIENCE_S = 30.0  # longer than any restart that is tested; the kernel retransmits within it


@dataclass(slots=True)
class Flow:
    """What one flow has seen so far."""

    kind: str
    address: str
    sent: int = 0
    answered: int = 0
    broken: int = 0
    cause: str = ""
    longest_silence_s: float = 0.0
    last_answer: float = 0.0

    def answer(self, now: float) -> None:
        if self.last_answer:
            self.longest_silence_s = max(self.longest_silence_s, now - self.last_answer)
        self.last_answer = now
        self.answered += 1


class Echo(asyncio.DatagramProtocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self.transport.sendto(data, addr)  # type: ignore[attr-defined]


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while line := await reader.readline():
            source = writer.get_extra_info("peername")[0]
            writer.write(f"{source}\n".encode() if line == b"who\n" else line)
            await writer.drain()
    except OSError:
        pass
    writer.close()


async def serve(port: int) -> None:
    loop = asyncio.get_running_loop()
    await asyncio.start_server(echo, None, port)
    # One dual-stack socket: asyncio restricts only TCP servers to their own family.
    await loop.create_datagram_endpoint(Echo, local_addr=("::", port))
    await asyncio.Event().wait()


async def who(port: int, address: str) -> None:
    reader, writer = await asyncio.wait_for(asyncio.open_connection(address, port), 5)
    writer.write(b"who\n")
    print((await asyncio.wait_for(reader.readline(), 5)).decode().strip())


async def probe_tcp(flow: Flow, port: int) -> None:
    while True:
        try:
            await hold_tcp(flow, port)
        except (TimeoutError, OSError, EOFError) as error:
            flow.broken += 1
            flow.cause = f"{type(error).__name__}: {error}"
            await asyncio.sleep(0.2)


async def hold_tcp(flow: Flow, port: int) -> None:
    reader, writer = await asyncio.wait_for(asyncio.open_connection(flow.address, port), TCP_PATIENCE_S)
    try:
        while True:
            flow.sent += 1
            writer.write(b"%d\n" % flow.sent)
            line = await asyncio.wait_for(reader.readline(), TCP_PATIENCE_S)
            if line != b"%d\n" % flow.sent:
                raise EOFError(f"expected {flow.sent}, read {line!r}")
            flow.answer(time.monotonic())
            await asyncio.sleep(INTERVAL_S)
    finally:
        writer.close()


class Answers(asyncio.DatagramProtocol):
    def __init__(self, flow: Flow) -> None:
        self.flow = flow

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self.flow.answer(time.monotonic())

    def error_received(self, error: Exception) -> None:
        self.flow.cause = f"{type(error).__name__}: {error}"


async def probe_udp(flow: Flow, port: int) -> None:
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(
        lambda: Answers(flow), remote_addr=(flow.address, port)
    )
    while True:
        flow.sent += 1
        transport.sendto(b"%d" % flow.sent)
        await asyncio.sleep(INTERVAL_S)


async def probe(report: str, port: int, addresses: list[str]) -> None:
    flows = [Flow(kind, address) for address in addresses for kind in ("tcp", "udp")]
    async with asyncio.TaskGroup() as group:
        for flow in flows:
            group.create_task((probe_tcp if flow.kind == "tcp" else probe_udp)(flow, port))
        group.create_task(write_report(report, flows))


async def write_report(path: str, flows: list[Flow]) -> None:
    while True:
        now = time.monotonic()
        for flow in flows:
            if flow.last_answer:
                flow.longest_silence_s = max(flow.longest_silence_s, now - flow.last_answer)
        with open(path + ".new", "w") as out:
            json.dump([asdict(flow) for flow in flows], out)
        os.replace(path + ".new", path)
        await asyncio.sleep(0.5)


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        asyncio.run(serve(int(sys.argv[2])))
    elif sys.argv[1] == "who":
        asyncio.run(who(int(sys.argv[2]), sys.argv[3]))
    else:
        asyncio.run(probe(sys.argv[2], int(sys.argv[3]), sys.argv[4:]))
