"""Work that takes longer than a request: rows with a lease, run one subprocess each.

The row is the truth. Huey only wakes a worker with a job's id; a lost message costs a moment, never a
job. A job's body runs in a fresh child process (`child.py`), watched by a thread of the worker
(`runner.py`); what it wrote and its success commit in one transaction.
"""
