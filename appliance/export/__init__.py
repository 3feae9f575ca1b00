"""From a fitted candidate to a portable graph, proven to give the same answers.

Every graph has one input "input" float32[N, d] and one output "output": float32[N, k] probabilities
(k = number of classes, 2 for yes/no) or float32[N, 1] values. Trees use ai.onnx.ml TreeEnsemble;
linear models and networks use plain operators only, which OpenVINO needs.
"""

from appliance.export.convert import to_onnx
from appliance.export.parity import Parity, check, prove, synthetic_rows

__all__ = ["Parity", "check", "prove", "synthetic_rows", "to_onnx"]
