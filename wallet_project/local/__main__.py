"""The local runner's command line: `python -m wallet_project.local run`."""

import argparse

from wallet_project.local import run

if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m wallet_project.local", description=__doc__)
    parser.add_argument("command", choices=["run"], help="start the whole system and stay with it")
    parser.parse_args()
    run.main()
