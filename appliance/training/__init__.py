"""Fitting: from an encoded table to the best of a few candidate models, within a time budget.

The trainer never sees the hold-out. Seeds and thread counts are arguments, nothing is random by
accident. Nothing here writes files: `work` records what came out, `export` makes it portable.
"""

import os

# Before any OpenMP library loads: threads that wait must sleep. Spinning, two LightGBM threads on a machine
# whose cores are busy were seen to take many times as long.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
