"""
Secrets that must rest nowhere, and where they are looked for: every row of every table, every key of Valkey, every
message that Kafka's broker holds.

What is found there is unfolded first. A page session is compressed and in base64, a task's arguments are base64 inside
JSON, a digest stands beside what it hides: a secret is looked for in each layer, and in the forms that it may take.
"""

import base64
import binascii
import json
import re
import zlib
from collections.abc import Iterator
from contextlib import suppress
from datetime import date, datetime
from typing import Any, Final
from urllib.parse import quote

import psycopg
import redis
from confluent_kafka import Consumer, TopicPartition
from psycopg import sql

# By what it is.
Canaries = dict[str, str]

_DEEPEST: Final = 4
_BASE64: Final = re.compile(rb"[A-Za-z0-9+/_-]{12,}={0,2}")
_HEX: Final = re.compile(rb"(?:[0-9a-f]{2}){6,}")
# Digits alone are found only where they stand alone: six of them stand in many a digest by chance.
_SHORT: Final = 12


def found_in(blobs: Iterator[tuple[str, bytes]], canaries: Canaries) -> set[tuple[str, str]]:
    """Pairs of a place and what stands there."""
    patterns = {name: re.compile(_pattern(secret)) for name, secret in canaries.items()}
    return {
        (place, name)
        for place, blob in blobs
        for layer in _layers(blob)
        for name, pattern in patterns.items()
        if pattern.search(layer)
    }


def in_database(url: str, *, but: tuple[str, ...] = ()) -> Iterator[tuple[str, bytes]]:
    """
    Each value that could hold a text, of each row of each table that the catalogue knows, read as a superuser.

    :param but: tables that stand in for something outside.
    """
    with psycopg.connect(url) as server:
        tables = server.execute(
            "SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
            " WHERE c.relkind IN ('r', 'm') AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')"
        ).fetchall()
        for schema, table in tables:
            if table not in but:
                rows = server.execute(sql.SQL("SELECT * FROM {}").format(sql.Identifier(schema, table)))
                names = [column.name for column in rows.description or ()]
                for row in rows:
                    for name, value in zip(names, row, strict=True):
                        yield from ((f"{table}.{name}", text) for text in _texts(value))


def in_valkey(url: str) -> Iterator[tuple[str, bytes]]:
    """Each key and all that it holds: the cache, counters, and the queues with what no worker has taken yet."""
    with redis.Redis.from_url(url) as valkey:
        for key in valkey.scan_iter(count=1000):
            place = key.decode(errors="replace")
            yield f"valkey {place}", key
            match valkey.type(key):
                case b"string":
                    held: Any = [valkey.get(key)]
                case b"list":
                    held = valkey.lrange(key, 0, -1)
                case b"hash":
                    held = [part for pair in valkey.hgetall(key).items() for part in pair]
                case b"set":
                    held = valkey.smembers(key)
                case b"zset":
                    held = valkey.zrange(key, 0, -1)
                case other:
                    raise AssertionError(f"{place} is a {other!r}, which nobody looks into here")
            yield from ((f"valkey {place}", part) for part in held if part)


def in_kafka(servers: str) -> Iterator[tuple[str, bytes]]:
    """Key, value and headers of each message of each topic, from the beginning to where it ends now."""
    consumer = Consumer({"bootstrap.servers": servers, "group.id": "canaries", "fetch.wait.max.ms": 20, "log_level": 0})
    try:
        topics = consumer.list_topics(timeout=10).topics
        places = [TopicPartition(name, each, 0) for name, topic in topics.items() for each in topic.partitions]
        ends = {(it.topic, it.partition): consumer.get_watermark_offsets(it, timeout=10)[1] for it in places}
        left = {place: end for place, end in ends.items() if end > 0}
        consumer.assign([TopicPartition(*place, 0) for place in left])
        while left:
            messages = consumer.consume(1000, 1.0)
            for message in messages:
                assert message.error() is None, message.error()
                place = (str(message.topic()), int(message.partition() or 0))
                if (message.offset() or 0) + 1 >= ends[place]:
                    left.pop(place, None)
                parts = [message.key(), message.value(), *(part for _, part in message.headers() or [])]
                yield from ((f"kafka {message.topic()}", bytes(part)) for part in parts if part)
    finally:
        consumer.close()


def _texts(value: Any) -> Iterator[bytes]:
    """Numbers and times hold no secret: their digits are chance."""
    if value is None or isinstance(value, bool | int | float | datetime | date):
        return
    if isinstance(value, bytes | memoryview):
        yield bytes(value)
    elif isinstance(value, dict | list):
        yield json.dumps(value, ensure_ascii=False).encode()
    else:
        yield str(value).encode()


def _pattern(secret: str) -> bytes:
    """As it is, as JSON and as a URL write it, and in hexadecimal."""
    forms = {secret, json.dumps(secret)[1:-1], quote(secret, safe=""), secret.replace(" ", "")}
    plain = b"|".join(re.escape(form.encode()) for form in sorted(forms, key=len, reverse=True))
    if secret.isdigit() and len(secret) < _SHORT:
        return rb"(?<![0-9A-Za-z_.+-])(?:%b)(?![0-9A-Za-z_+-])" % plain
    return plain + b"|" + secret.encode().hex().encode()


def _layers(blob: bytes, depth: int = 0) -> Iterator[bytes]:
    yield blob
    if depth == _DEEPEST:
        return
    for run in _BASE64.findall(blob):
        for decoded in _from_base64(run):
            yield from _layers(decoded, depth + 1)
    for run in _HEX.findall(blob):
        yield bytes.fromhex(run.decode())
    with suppress(zlib.error):
        yield from _layers(zlib.decompress(blob), depth + 1)


def _from_base64(run: bytes) -> Iterator[bytes]:
    bare = run.rstrip(b"=").translate(bytes.maketrans(b"-_", b"+/"))
    with suppress(binascii.Error):
        yield base64.b64decode(bare + b"=" * (-len(bare) % 4))
