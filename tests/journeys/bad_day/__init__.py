"""
A bad day at the gateway, as one seed deals it: who adds and withdraws what and how they behave, which faults are on
when, and at which moments a worker is killed.
"""
