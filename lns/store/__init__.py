"""What must survive: ports, and the houses behind them.

The server's memory is the truth while it runs; the store is its journal. The engine fills a
:class:`~lns.store.batch.Batch`; the writer commits it in one transaction; only then are the batch's effects (PUSH_ACK,
PULL_RESP) carried out. One contract test suite runs on every house.
"""
