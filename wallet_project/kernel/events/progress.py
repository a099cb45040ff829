"""How far a group is, as its members say every few seconds. Only metrics read it."""

from collections.abc import Mapping
from datetime import datetime

from wallet_project.kernel.models import ConsumerProgress


def say(*, group_id: int, at: Mapping[int, tuple[int, int]], now: datetime) -> None:
    """
    Write down the partitions that a member has.

    :param at: by partition, the offset that comes next and the partition's end.
    """
    # In order of the primary key: for a moment after a rebalance, two members may both have a partition.
    rows = [
        ConsumerProgress(group_id=group_id, partition=partition, position=position, end=end, said_at=now)
        for partition, (position, end) in sorted(at.items())
    ]
    ConsumerProgress.objects.bulk_create(
        rows,
        update_conflicts=True,
        unique_fields=["group", "partition"],
        update_fields=["position", "end", "said_at"],
    )
