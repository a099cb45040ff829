"""Which task waits in which queue, and who takes it from there."""

import re

from tests.house.sources import text_of
from wallet_project.celery import app
from wallet_project.local.supervision import QUEUES, SLOW_QUEUES


def queue_of(task: str) -> str:
    return str(app.amqp.router.route({}, task)["queue"].name)


def sweeps() -> list[str]:
    tasks = [entry["task"] for entry in app.conf.beat_schedule.values()]
    return [task for task in tasks if task.startswith("payments.sweep_")]


def test_no_sweep_waits_behind_a_thousand_wake_ups() -> None:
    """They expire after seconds: behind a backlog none would ever run, and what was lost would not be found."""
    woken = ("send_payout", "send_refund", "check_bank_account", "process_webhook_events")
    assert sweeps()
    assert {queue_of(task) for task in sweeps()}.isdisjoint(queue_of(f"payments.{task}") for task in woken)


def test_every_queue_has_a_worker_locally_and_by_the_documents() -> None:
    app.loader.import_default_modules()
    queues = {queue_of(task) for task in app.tasks if not task.startswith("celery.")} | {app.conf.task_default_queue}
    documented = re.findall(r"worker -Q ([a-z,]+)", text_of("docs/operations.md"))
    assert set(f"{QUEUES},{SLOW_QUEUES}".split(",")) == queues
    assert {queue for listed in documented for queue in listed.split(",")} == queues
