"""How good a candidate is, how sure that is, whether it may go live, and the report that says so.

Everything is measured on the hold-out, which training never saw. Figures carry 95 % bootstrap intervals
from seeded resamples; the gate is a pure function of them. Tasks are "binary", "multiclass" and
"regression"; predictions are float[n, k] probabilities or float[n, 1] values.
"""
