"""
Four processes that post, each with its own posting connection, all let go at one moment.

Threads of one process share its posting connection, so only several processes prove anything about row locks.
"""

import multiprocessing
import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection

from ledger.movements import Group, Outcome

PROCESSES = 4
_HEAD_START_SECONDS = 0.15
_LONGEST_SECONDS = 120.0

Deed = Callable[[], str]  # what a door would call; says how it ended
Work = Sequence[Sequence[Group] | Deed]  # what one thread posts or does, one after the other


@dataclass(frozen=True)
class Report:
    """
    What one process saw.

    :param outcomes: by thread, all that its posts answered. :param errors: what came out of `post` instead.
    :param answers: how its deeds ended.
    :param interruptions: the SQLSTATE of each error that `post` kept from its caller.
    """

    backend: int
    outcomes: list[list[Outcome]]
    errors: list[str]
    answers: list[str]
    interruptions: list[str]
    commits: int
    reruns: int
    seconds: float


@dataclass(frozen=True)
class Race:
    """What all processes saw together."""

    reports: list[Report]
    outcomes: list[Outcome] = field(default_factory=list)

    @property
    def kinds(self) -> Counter[str]:
        return Counter(outcome.kind for outcome in self.outcomes)

    @property
    def codes(self) -> Counter[str]:
        return Counter(outcome.code for outcome in self.outcomes)

    @property
    def answers(self) -> Counter[str]:
        return Counter(answer for report in self.reports for answer in report.answers)

    @property
    def errors(self) -> list[str]:
        return [error for report in self.reports for error in report.errors]

    @property
    def interruptions(self) -> Counter[str]:
        return Counter(state for report in self.reports for state in report.interruptions)

    @property
    def seconds(self) -> float:
        return max(report.seconds for report in self.reports)

    @property
    def reruns_per_commit(self) -> float:
        commits = sum(report.commits for report in self.reports)
        return sum(report.reruns for report in self.reports) / commits


class Callers:
    """The processes, from here. `race` gives each of them work for its threads."""

    def __init__(self, lines: Sequence[Connection]) -> None:
        self._lines = lines
        self.backends = [self._answer(line) for line in lines]

    def race(self, works: Sequence[Sequence[Work]]) -> Race:
        """
        Each process runs its threads' work, all of them from one moment on.

        :param works: for each process, what each of its threads posts.
        """
        begins_at = time.time() + _HEAD_START_SECONDS
        for line, work in zip(self._lines, works, strict=False):
            line.send((begins_at, work))
        reports = [self._answer(line) for line, _ in zip(self._lines, works, strict=False)]
        outcomes = [outcome for report in reports for thread in report.outcomes for outcome in thread]
        return Race(reports=reports, outcomes=outcomes)

    def race_single(self, groups: Sequence[Group]) -> Race:
        """Each group from a caller of its own, dealt out to the processes in turn."""
        return self.race([[[[group]] for group in groups[start::PROCESSES]] for start in range(PROCESSES)])

    def race_deeds(self, deeds: Sequence[Deed]) -> Race:
        """The same with deeds: module-level functions with their arguments, which take what they need by its key."""
        return self.race([[[deed] for deed in deeds[start::PROCESSES]] for start in range(PROCESSES)])

    def begin(self, work: Sequence[Group] | Deed) -> Connection:
        """Let the first process post this list, or do this deed, on its own; `answer_of` waits for it."""
        self._lines[0].send((0.0, [[work]]))
        return self._lines[0]

    def answer_of(self, line: Connection) -> Report:
        return self._answer(line)

    @staticmethod
    def _answer(line: Connection):  # type: ignore[no-untyped-def]  # a Report, or a pid at first
        assert line.poll(_LONGEST_SECONDS), "a process that posts has not answered"
        return line.recv()


@contextmanager
def callers() -> Iterator[Callers]:
    """The processes, connected to the database that this process's environment names."""
    spawn = multiprocessing.get_context("spawn")
    with ExitStack() as stack:
        lines = []
        for _ in range(PROCESSES):
            ours, theirs = spawn.Pipe()
            process = spawn.Process(target=_serve, args=(theirs,), daemon=True)
            process.start()
            stack.callback(_end, process, ours)
            theirs.close()
            lines.append(ours)
        yield Callers(lines)


def _end(process: "multiprocessing.process.BaseProcess", line: Connection) -> None:
    # It has answered and waits for more: nothing of it is worth an orderly end.
    line.close()
    process.kill()
    process.join()


# In the child


def _serve(line: Connection) -> None:
    os.environ["DJANGO_SETTINGS_MODULE"] = "wallet_project.settings"
    import django

    django.setup()
    line.send(_backend())
    while True:
        try:
            begins_at, work = line.recv()
        except EOFError:
            return
        line.send(_run(begins_at, work))


def _backend() -> int:
    """This process's session that posts: made now, so that no race measures connecting."""
    from django.db import connections, transaction

    with transaction.atomic(using="posting"), connections["posting"].cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid(), current_user")
        pid, role = cursor.fetchone()
    connections["posting"].close()
    assert role == "wallet_app", role
    return int(pid)


def _run(begins_at: float, work: Sequence[Work]) -> Report:
    from structlog.testing import capture_logs

    from ledger.posting import tally

    outcomes: list[list[Outcome]] = [[] for _ in work]
    errors: list[str] = []
    answers: list[str] = []
    commits, reruns = tally.commits, tally.reruns
    with capture_logs() as lines:
        threads = [
            threading.Thread(target=_post_all, args=(begins_at, lists, outcomes[place], answers, errors))
            for place, lists in enumerate(work)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(_LONGEST_SECONDS)
        seconds = time.time() - begins_at
    return Report(
        backend=_backend(),
        outcomes=outcomes,
        errors=errors,
        answers=answers,
        interruptions=[line["sqlstate"] for line in lines if line["event"] == "posting.interrupted"],
        commits=tally.commits - commits,
        reruns=tally.reruns - reruns,
        seconds=seconds,
    )


def _post_all(begins_at: float, works: Work, outcomes: list[Outcome], answers: list[str], errors: list[str]) -> None:
    from django.db import connections

    from ledger.posting import post

    time.sleep(max(0.0, begins_at - time.time()))
    try:
        for work in works:
            if callable(work):
                answers.append(work())
            else:
                outcomes.extend(post(work))
    except Exception as error:
        errors.append(f"{type(error).__name__}: {error}")
    finally:
        connections.close_all()
