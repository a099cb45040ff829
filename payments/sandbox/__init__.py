"""
The payment sandbox: a stranger that speaks the gateway's wire protocol on this machine.

It is a server process of its own with a book of its own. It shares no code with our client and knows
neither Django nor the ledger, so that a mistake on one side cannot hide a mistake on the other.
Its source is the gateway's public documentation (docs.razorpay.com). It needs requirements-local.txt
and is refused in production.
"""
