"""
A client that forgets nothing: `python -m tests.journeys.crash_client JOURNAL BASE_URL TOKEN PAYEE SEED`.

Before a request it syncs the key to disk, after the answer it syncs the answer: so after any crash the journal
tells what was acknowledged and what is unknown. Runs until it is stopped or the server is gone.
"""

import os
import secrets
import sys
from pathlib import Path

import requests


def main(journal: Path, base_url: str, token: str, payee: str) -> None:
    session = requests.Session()
    session.headers["Authorization"] = f"Bearer {token}"
    with journal.open("ab", buffering=0) as log:

        def note(*words: object) -> None:
            log.write((" ".join(map(str, words)) + "\n").encode())
            os.fsync(log.fileno())

        while True:
            key = secrets.token_hex(16)
            note("SENT", key)
            try:
                answer = session.post(
                    f"{base_url}/api/v1/wallet/transfer",
                    json={"to": payee, "amount": "1.00"},
                    headers={"Idempotency-Key": key},
                    timeout=30,
                )
            except requests.RequestException:
                return
            if answer.status_code == 201:
                note("DONE", key, answer.json()["id"])
            else:
                note("TOLD", key, answer.status_code)


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:5])
