"""The ledger: everything a message caused, in one transaction, before it is acknowledged.

`tables` says what is kept, `store` writes it down, `queries` reads it back for people,
`outbox` is the worklist of those who tell them.
"""
