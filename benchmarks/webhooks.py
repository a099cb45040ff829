"""
`python -m benchmarks.webhooks --home HOME`: how fast a running wallet takes in the gateway's webhooks.

An open loop: each letter leaves at its own time, whether or not the ones before it have been answered, and its time is
counted from when it should have left, so a stall shows in every letter behind it. Each is a new, genuine event about an
order that the wallet does not know. Any answer but 200 fails the run, and so does a p99 past the limit.
"""

import argparse
import asyncio
import hashlib
import hmac
import json
import secrets
import sys
import time
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from wallet_project.local import leash

LIMIT_MILLISECONDS: Final = 100.0
_LONGEST_ANSWER_SECONDS: Final = 30.0
# The first letters open connections, on both sides; they are sent and not counted.
WARM_UP_SECONDS: Final = 2.0


@dataclass(frozen=True, slots=True)
class Taken:
    """Latencies in milliseconds, in order."""

    latencies: list[float]
    seconds: float

    def percentile(self, share: float) -> float:
        return self.latencies[min(len(self.latencies) - 1, int(len(self.latencies) * share))]

    def report(self) -> dict[str, float | int]:
        return {
            "answered": len(self.latencies),
            "per_second": round(len(self.latencies) / self.seconds, 1),
            "p50_milliseconds": round(self.percentile(0.5), 1),
            "p99_milliseconds": round(self.percentile(0.99), 1),
            "max_milliseconds": round(self.latencies[-1], 1),
        }


class Connections:
    """Keep-alive ones; a letter that finds none free opens another."""

    def __init__(self, host: str, port: int) -> None:
        self._address = (host, port)
        self._free: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def send(self, request: bytes) -> bytes:
        """
        :returns: the answer's first line.
        """
        reader, writer = self._free.pop() if self._free else await asyncio.open_connection(*self._address)
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(
            int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")
        )
        await reader.readexactly(length)
        self._free.append((reader, writer))
        return head.split(b"\r\n", 1)[0]


def letters(*, host: str, secret: str, count: int) -> list[bytes]:
    """Whole requests, signed before the clock runs."""
    made = []
    for _ in range(count):
        entity = {"id": f"order_{secrets.token_hex(7)}", "entity": "order", "status": "paid"}
        document = {"entity": "event", "event": "order.paid", "payload": {"order": {"entity": entity}}}
        body = json.dumps(document).encode()
        head = (
            f"POST /api/v1/webhooks/razorpay HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n"
            f"X-Razorpay-Signature: {hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()}\r\n"
            f"x-razorpay-event-id: bench-{secrets.token_hex(10)}\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        made.append(head.encode() + body)
    return made


async def _deliver(requests: list[bytes], *, host: str, port: int, rate: float) -> Taken:
    connections = Connections(host, port)
    began = time.perf_counter()

    async def at(due: float, request: bytes) -> float:
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        async with asyncio.timeout(_LONGEST_ANSWER_SECONDS):
            line = await connections.send(request)
        if line.split(b" ")[1] != b"200":
            raise RuntimeError(f"A webhook was answered {line!r}.")
        return (time.perf_counter() - due) * 1000

    found = await asyncio.gather(*(at(began + number / rate, each) for number, each in enumerate(requests)))
    counted = found[int(WARM_UP_SECONDS * rate) :]
    return Taken(sorted(counted), time.perf_counter() - began - WARM_UP_SECONDS)


def deliver(*, url: str, secret: str, rate: float, seconds: float) -> Taken:
    """
    :raises RuntimeError: any answer but 200.
    """
    parts = urlsplit(url)
    host, port = parts.hostname or "127.0.0.1", parts.port or 80
    requests = letters(host=f"{host}:{port}", secret=secret, count=int(rate * (seconds + WARM_UP_SECONDS)))
    return asyncio.run(_deliver(requests, host=host, port=port, rate=rate))


def main() -> None:
    parser = argparse.ArgumentParser(description="Load a running wallet with webhooks.")
    parser.add_argument("--home", default=".local", help="the home of the wallet that runs")
    parser.add_argument("--rate", type=float, default=100.0, help="letters a second")
    parser.add_argument("--seconds", type=float, default=20.0)
    arguments = parser.parse_args()
    variables = leash.read_environment(f"{arguments.home}/env")
    secret = variables["RAZORPAY_WEBHOOK_SECRETS"].split(",")[0]
    taken = deliver(url=variables["PUBLIC_URL"], secret=secret, rate=arguments.rate, seconds=arguments.seconds)
    print(json.dumps(taken.report()))
    if taken.percentile(0.99) > LIMIT_MILLISECONDS:
        sys.exit(f"p99 is past {LIMIT_MILLISECONDS:.0f} ms")


if __name__ == "__main__":
    main()
