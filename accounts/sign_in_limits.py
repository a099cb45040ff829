"""
How many wrong sign-ins are judged: ten for an account and a hundred for a network address, in any 15 minutes.

Only failures count, and they count once they have been judged: of any number of guesses at once exactly ten for an
account get an answer. Past the limit nobody is judged, the right password included, until the wait is over; a further
lock-out within a day doubles the wait. A device that signed in before is counted by itself and by nothing else, so
that strangers never lock its owner out; and who proves their address for a new password is forgiven.

All of it stands in Redis and is counted by one script there. Redis out of reach: nobody signs in (`busy`).
"""

import hmac
import math
import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any, Final

import redis
import structlog
from django.conf import settings

from accounts.addresses import Address
from accounts.models import KnownDevice, User
from wallet_project.kernel.clients import network_of
from wallet_project.kernel.errors import Refusal
from wallet_project.kernel.rate_limits import Standing, guards, tell

log = structlog.get_logger("accounts.sign_in_limits")

MOST_OF_AN_ACCOUNT: Final = 10
MOST_OF_A_DEVICE: Final = 10
MOST_OF_A_NETWORK: Final = 100
WINDOW: Final = timedelta(minutes=15)
FIRST_WAIT: Final = timedelta(minutes=15)
LONGEST_WAIT: Final = timedelta(hours=4)
# So long after the last lock-out the next one is a first one again.
REMEMBERED: Final = timedelta(days=1)
# For so long after a new password the network address that it is typed from does not matter.
PARDON: Final = timedelta(minutes=15)
COUNTED: Final = frozenset({"credentials_invalid", "otp_invalid"})
_BUSY_SECONDS: Final = 1

# Three keys a count: its failures by time, until when it is locked, how often it was locked. Times in milliseconds.
_LOOK: Final = """
local waits = {}
for i = 2, #KEYS, 3 do
  waits[#waits + 1] = math.max(0, tonumber(redis.call('GET', KEYS[i]) or 0) - tonumber(ARGV[1]))
end
return waits
"""
# Whoever comes after the failure that filled a count is not counted, and told to wait.
_COUNT: Final = """
local now, window, first, longest, day = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5]),
  tonumber(ARGV[6])
local waits, locked = {}, 0
for i = 1, #KEYS, 3 do
  local nth = (i + 2) / 3
  local ends = tonumber(redis.call('GET', KEYS[i + 1]) or 0)
  waits[nth] = math.max(0, ends - now)
  if ends <= now then
    redis.call('ZREMRANGEBYSCORE', KEYS[i], '-inf', now - window)
    redis.call('ZADD', KEYS[i], now, ARGV[1])
    redis.call('PEXPIRE', KEYS[i], window)
    if redis.call('ZCARD', KEYS[i]) >= tonumber(ARGV[6 + nth]) then
      local level = 1
      local before = redis.call('HMGET', KEYS[i + 2], 'level', 'at')
      if before[1] and tonumber(before[2]) > now - day then level = tonumber(before[1]) + 1 end
      redis.call('HSET', KEYS[i + 2], 'level', level, 'at', now)
      redis.call('PEXPIRE', KEYS[i + 2], day)
      local wait = math.min(first * 2 ^ (level - 1), longest)
      redis.call('SET', KEYS[i + 1], string.format('%d', now + wait), 'PX', string.format('%d', wait))
      redis.call('DEL', KEYS[i])
      locked = locked + 1
    end
  end
end
return {waits, locked}
"""


@dataclass(frozen=True, slots=True)
class Count:
    """
    What failures are counted for.

    :ivar name: `account`, `device` or `network`.
    :ivar most: with so many failures in `WINDOW` it is locked.
    """

    name: str
    of: str
    most: int

    @property
    def keys(self) -> list[str]:
        return [f"sign-in:{part}:{self.name}:{self.of}" for part in ("failures", "locked-until", "lock-outs")]


def counts_of(*, account: User | Address, device: KnownDevice | None, network: str) -> list[Count]:
    """
    :param account: whoever verified the address that was typed, so that all of theirs count together; or the address,
        where nobody did.
    :param device: one that this person signed in with before.
    :param network: the IP address that the request came from; empty where none is known.
    """
    if device is not None:
        return [_count_of_device(device.digest)]
    counted = _count_of_account(account)
    if _ask(lambda client: client.exists(_pardon(counted))):
        return [counted]
    return [counted, Count("network", network_of(network), MOST_OF_A_NETWORK)]


@contextmanager
def counted(*, counts: Sequence[Count], now: datetime) -> Iterator[None]:
    """
    Around the judging of one sign-in. Looked at before, counted after a failure; and looked at again after anything
    else, so that the right password among parallel guesses is not found by whoever is past the limit.

    :raises Refusal: `too_many_tries` with the seconds to wait; `busy` without Redis.
    """
    _refuse_if_locked(counts, _look(counts, now))
    try:
        yield
    except Refusal as refusal:
        if refusal.code in COUNTED:
            _refuse_if_locked(counts, _count_failure(counts, now))
        else:
            _refuse_if_locked(counts, _look(counts, now))
        raise
    _refuse_if_locked(counts, _look(counts, now))


def forgive(*, user: User) -> None:
    """
    Somebody proved that this account is theirs by other means than its password: all its counts begin again, and
    for a while the network address does not matter. Without Redis nothing happens but a line in the log: the wait
    ends by itself.
    """
    account = _count_of_account(user)
    devices = KnownDevice.objects.filter(user=user).values_list("digest", flat=True)
    counts = [account, *[_count_of_device(digest) for digest in devices]]
    try:
        pipeline = guards().pipeline(transaction=True)
        pipeline.delete(*[key for count in counts for key in count.keys])
        pipeline.set(_pardon(account), "1", px=_milliseconds(PARDON))
        pipeline.execute()
    except (redis.RedisError, OSError) as error:
        log.warning("sign_in.not_forgiven", user=user.public_id, reason=type(error).__name__)


def _look(counts: Sequence[Count], now: datetime) -> list[int]:
    keys = [key for count in counts for key in count.keys]
    waits: list[int] = _ask(lambda client: client.eval(_LOOK, len(keys), *keys, _instant(now)))
    return waits


def _count_failure(counts: Sequence[Count], now: datetime) -> list[int]:
    keys = [key for count in counts for key in count.keys]
    spans = [_milliseconds(span) for span in (WINDOW, FIRST_WAIT, LONGEST_WAIT, REMEMBERED)]
    arguments: list[Any] = [secrets.token_hex(8), _instant(now), *spans, *[count.most for count in counts]]
    waits, locked = _ask(lambda client: client.eval(_COUNT, len(keys), *keys, *arguments))
    if locked:
        log.warning("sign_in.locked_out", counts=[count.name for count in counts])
    return list(waits)


def _refuse_if_locked(counts: Sequence[Count], waits: Sequence[int]) -> None:
    longest, count = max(zip(waits, counts, strict=True), key=lambda pair: pair[0])
    if longest <= 0:
        return
    seconds = math.ceil(longest / 1000)
    tell(Standing(f"sign_in_{count.name}", count.most, int(WINDOW.total_seconds()), 0, seconds))
    log.warning("sign_in.refused", count=count.name, seconds=seconds)
    minutes = math.ceil(seconds / 60)
    # It says the same whether or not the address is anybody's.
    raise Refusal(
        "too_many_tries",
        f"Too many wrong tries. Wait {minutes} minute{'' if minutes == 1 else 's'}, use a device that you signed in "
        "with before, or choose a new password.",
        retry_after_seconds=seconds,
    )


def _ask(question: Callable[[redis.Redis], Any]) -> Any:
    try:
        return question(guards())
    except (redis.RedisError, OSError) as error:
        log.error("sign_in.uncounted", reason=type(error).__name__)
        raise Refusal("busy", retry_after_seconds=_BUSY_SECONDS) from error


def _count_of_account(account: User | Address) -> Count:
    if isinstance(account, User):
        # Not the primary key: two wallets may share a Redis, and a database restored anew counts from one again.
        return Count("account", account.uuid.hex, MOST_OF_AN_ACCOUNT)
    # Nobody's address stands in Redis to be read.
    typed = f"{account.channel} {account.value}".encode()
    return Count("account", hmac.new(settings.CODE_PEPPER, typed, sha256).hexdigest(), MOST_OF_AN_ACCOUNT)


def _count_of_device(digest: bytes | memoryview) -> Count:
    return Count("device", bytes(digest).hex(), MOST_OF_A_DEVICE)


def _pardon(account: Count) -> str:
    return f"sign-in:pardoned:{account.of}"


def _instant(now: datetime) -> int:
    return int(now.timestamp() * 1000)


def _milliseconds(span: timedelta) -> int:
    return int(span.total_seconds() * 1000)
