"""
Merchants' own servers are told what happens to their money, by the Standard Webhooks specification, version 1.0.0
(https://www.standardwebhooks.com). `docs/webhooks.md` is the merchants' side of it.

What gateways tell us is another thing: `payments/webhooks.py`.
"""
