"""
A lean load on `POST /api/v1/wallet/transfer`: keep-alive connections, each sending as soon as it was answered.

A client library would spend more of a shared machine's time than the server does, so requests are written by
hand. Loopback only, bounded in time.
"""

import asyncio
import json
import random
import secrets
import time
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Load:
    """What a run saw. Latencies in milliseconds, in order."""

    answered: int
    seconds: float
    latencies: list[float]

    def percentile(self, share: float) -> float:
        return self.latencies[min(len(self.latencies) - 1, int(len(self.latencies) * share))]


async def _connection(
    port: int, people: list[tuple[str, str]], until: float, latencies: list[float], chance: random.Random
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    while time.monotonic() < until:
        (token, _), (_, payee) = chance.sample(people, 2)
        body = json.dumps({"to": payee, "amount": f"{chance.randint(1, 5)}.00"}).encode()
        head = (
            "POST /api/v1/wallet/transfer HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Forwarded-Proto: https\r\n"
            f"Authorization: Bearer {token}\r\nIdempotency-Key: {secrets.token_hex(12)}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        started = time.perf_counter()
        writer.write(head.encode() + body)
        answer = await reader.readuntil(b"\r\n\r\n")
        length = next(
            int(line.split(b":")[1]) for line in answer.split(b"\r\n") if line.lower().startswith(b"content-length:")
        )
        content = await reader.readexactly(length)
        latencies.append((time.perf_counter() - started) * 1000)
        if not answer.startswith(b"HTTP/1.1 201"):
            raise RuntimeError(f"{answer.splitlines()[0]!r}: {content!r}")
    writer.close()
    await writer.wait_closed()


async def _run(port: int, people: list[tuple[str, str]], connections: int, seconds: float, seed: int) -> Load:
    latencies: list[float] = []
    started = time.monotonic()
    await asyncio.gather(
        *(
            _connection(port, people, started + seconds, latencies, random.Random(seed + number))
            for number in range(connections)
        )
    )
    return Load(len(latencies), time.monotonic() - started, sorted(latencies))


def load(*, port: int, people: list[tuple[str, str]], connections: int, seconds: float, seed: int) -> Load:
    """:raises RuntimeError: any answer but 201."""
    return asyncio.run(_run(port, people, connections, seconds, seed))
