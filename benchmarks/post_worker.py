"""
One process that posts for some seconds: `python -m benchmarks.post_worker random|hot SIZE SECONDS SEED`.

Prints one JSON object: how many movements, in how many seconds, over how many commits and re-runs.
"""

import gc
import itertools
import json
import os
import random
import secrets
import sys
import time
from decimal import Decimal

import django


def main(kind: str, size: int, seconds: float, seed: int) -> None:
    from accounts.models import Actor
    from ledger.movements import Group, Key, Movement
    from ledger.posting import post, tally
    from wallets.models import Wallet

    chance = random.Random(seed)
    actors = dict(Actor.objects.filter(user__isnull=False).values_list("user_id", "pk"))
    rows = Wallet.objects.filter(kind=Wallet.Kind.USER).order_by("pk").values_list("pk", "owner_id")
    people = [(wallet, actors[owner]) for wallet, owner in rows]
    hot = people[0][0]
    amounts = [Decimal(amount) for amount in range(1, 6)]

    key_numbers, fingerprint, some = itertools.count(), secrets.token_bytes(32), len(people)
    run = secrets.token_hex(6)

    def group() -> Group:
        payer, actor = people[int(chance.random() * some)]
        payee = hot if kind == "hot" else people[int(chance.random() * some)][0]
        if payer == payee:
            return group()
        movement = Movement(
            type="TRANSFER",
            amount=amounts[int(chance.random() * 5)],
            currency="INR",
            from_wallet=payer,
            to_wallet=payee,
        )
        key = Key(key=f"{run}-{next(key_numbers)}", fingerprint=fingerprint)
        return Group(initiator=actor, movements=(movement,), key=key)

    # Warm: the connection is open and its statements are planned before the clock starts.
    for _ in range(7):
        post([group() for _ in range(size)])
    gc.collect()
    gc.freeze()
    tally.commits = tally.reruns = moved = 0
    started = time.monotonic()
    while (elapsed := time.monotonic() - started) < seconds:
        outcomes = post([group() for _ in range(size)])
        if any(outcome.kind != "posted" for outcome in outcomes):
            sys.exit(f"a movement was not posted: {outcomes}")
        moved += len(outcomes)
    print(json.dumps({"moved": moved, "seconds": elapsed, "commits": tally.commits, "reruns": tally.reruns}))


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "wallet_project.settings")
    django.setup()
    main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4]))
