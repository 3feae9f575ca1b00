"""LightGBM trees as one ai.onnx.ml TreeEnsemble (version 5), routed exactly.

- A threshold is rounded down to float32: for float32 x, x <= t and x <= floor32(t) are the same.
  LightGBM reads infinity as 1e300 and anything within 1e-35 of zero as zero; so do we (`floor32`).
- Missing values go where LightGBM sends them: counted as 0 where training saw none, else by default_left.
- A category split is one BRANCH_MEMBER node; missing, unseen and negative codes go right. Chains of
  BRANCH_EQ are refused by ONNX Runtime 1.32 when the branch they share is no leaf.
- Leaves are summed in double, which costs nothing measurable and brings |dp| from 4e-7 to 3e-8.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from onnx import numpy_helper

from appliance.errors import BadInput
from appliance.export.graph import INPUT, Graph

LEQ, MEMBER = 0, 6  # BRANCH_LEQ, BRANCH_MEMBER of TreeEnsemble-5
BEYOND = 1e300  # what LightGBM takes infinity for
NOTHING = float(np.float32(1e-35))  # values no larger than this are 0 to LightGBM

Branch = tuple[bool, int]  # (is a leaf, its index)


class BoosterLike(Protocol):
    """A lightgbm.Booster."""

    def dump_model(self) -> dict[str, Any]: ...


@dataclass
class Nodes:
    """The columns of a TreeEnsemble: one entry a node, one a leaf."""

    feature: list[int] = field(default_factory=list)
    mode: list[int] = field(default_factory=list)
    threshold: list[float] = field(default_factory=list)
    missing_left: list[int] = field(default_factory=list)
    left: list[Branch] = field(default_factory=list)
    right: list[Branch] = field(default_factory=list)
    members: dict[int, list[int]] = field(default_factory=dict)
    leaf_value: list[float] = field(default_factory=list)
    leaf_target: list[int] = field(default_factory=list)
    roots: list[int] = field(default_factory=list)

    def add(self, feature: int, mode: int, threshold: float, missing_left: bool) -> int:
        self.feature.append(feature)
        self.mode.append(mode)
        self.threshold.append(threshold)
        self.missing_left.append(int(missing_left))
        self.left.append((True, 0))
        self.right.append((True, 0))
        return len(self.feature) - 1

    def leaf(self, value: float, target: int) -> Branch:
        self.leaf_value.append(value)
        self.leaf_target.append(target)
        return True, len(self.leaf_value) - 1


def export_trees(
    booster: BoosterLike, width: int, target_mean: float = 0.0, target_scale: float = 1.0
) -> bytes:
    """ONNX bytes of a LightGBM booster over `width` columns; a regression's sum times scale plus mean.

    Raises BadInput for kinds of booster that are not exported (linear trees, zero as missing, ...).
    """
    dump = booster.dump_model()
    objective, sigmoid = _objective(str(dump.get("objective", "")))
    if dump.get("average_output"):
        raise BadInput(
            "A LightGBM forest that averages its trees cannot be exported.", "Train with boosting."
        )
    targets = int(dump["num_tree_per_iteration"])
    nodes = Nodes()
    for index, tree in enumerate(dump["tree_info"]):
        nodes.roots.append(_tree(nodes, tree["tree_structure"], index % targets))
    graph = Graph(width, 2 if objective == "binary" else targets)
    raw = _ensemble(graph, nodes, targets)
    if objective == "binary":
        if sigmoid != 1.0:
            raw = graph.add("Mul", raw, graph.constant(np.array([sigmoid])))
        raw = graph.probabilities(raw, np.float64)
    elif objective == "multiclass":
        raw = graph.add("Softmax", raw, axis=1)
    else:
        raw = graph.add("Mul", raw, graph.constant(np.array([target_scale])))
        raw = graph.add("Add", raw, graph.constant(np.array([target_mean])))
    return graph.finish(graph.cast(raw, np.float32))


def floor32(threshold: float) -> float:
    """The float32 t for which x <= t says the same of every float32 x as LightGBM does of `threshold`.

    That is the largest one not above the threshold; but infinity where LightGBM puts nothing above it, and
    around zero the ends of the span [-NOTHING, NOTHING] that it reads as 0.
    """
    if threshold >= BEYOND:
        return float("inf")
    if 0.0 <= threshold <= NOTHING:
        return NOTHING
    with np.errstate(all="ignore"):
        if -NOTHING <= threshold < 0.0:
            return float(np.nextafter(np.float32(-NOTHING), np.float32(-np.inf)))
        near = np.float32(threshold)
        if float(near) > threshold:
            near = np.nextafter(near, np.float32(-np.inf))
    return float(near)


def _objective(text: str) -> tuple[str, float]:
    words = text.split()
    name = words[0] if words else ""
    settings = dict(word.split(":", 1) for word in words[1:] if ":" in word)
    if name not in ("binary", "multiclass", "regression"):
        raise BadInput(
            f"A LightGBM model with the objective '{name}' cannot be exported.",
            "Use binary, multiclass or regression.",
        )
    if "sqrt" in words:
        raise BadInput("A LightGBM model with reg_sqrt cannot be exported.", "Train without reg_sqrt.")
    return name, float(settings.get("sigmoid", 1.0))


def _tree(nodes: Nodes, root: dict[str, Any], target: int) -> int:
    """Add one tree; gives the index of its root node. Iterative: a tree may be deep."""
    if "leaf_value" in root:  # TreeEnsemble wants a node at the root
        only = nodes.add(0, LEQ, 0.0, True)
        nodes.left[only] = nodes.right[only] = nodes.leaf(float(root["leaf_value"]), target)
        return only
    first = _split(nodes, root)
    waiting = [(root, first)]
    while waiting:
        node, index = waiting.pop()
        for side, child in ((nodes.right, node["right_child"]), (nodes.left, node["left_child"])):
            if "leaf_value" in child:
                if "leaf_features" in child:
                    raise BadInput(
                        "LightGBM's linear trees cannot be exported.", "Train without linear_tree."
                    )
                side[index] = nodes.leaf(float(child["leaf_value"]), target)
            else:
                below = _split(nodes, child)
                side[index] = (False, below)
                waiting.append((child, below))
    return first


def _split(nodes: Nodes, node: dict[str, Any]) -> int:
    feature, missing = int(node["split_feature"]), node["missing_type"]
    if node["decision_type"] == "==":
        index = nodes.add(feature, MEMBER, 0.0, False)
        nodes.members[index] = [int(code) for code in str(node["threshold"]).split("||")]
        return index
    threshold = float(node["threshold"])
    if missing == "Zero":
        raise BadInput("LightGBM's zero_as_missing cannot be exported.", "Train without zero_as_missing.")
    left = bool(node["default_left"]) if missing == "NaN" else threshold >= 0.0
    return nodes.add(feature, LEQ, floor32(threshold), left)


def _ensemble(graph: Graph, nodes: Nodes, targets: int) -> str:
    def doubles(values: list[float]) -> Any:
        return numpy_helper.from_array(np.array(values, np.float64))

    attributes: dict[str, Any] = {
        "n_targets": targets,
        "tree_roots": nodes.roots,
        "nodes_featureids": nodes.feature,
        "nodes_modes": numpy_helper.from_array(np.array(nodes.mode, np.uint8)),
        "nodes_splits": doubles(nodes.threshold),
        "nodes_missing_value_tracks_true": nodes.missing_left,
        "nodes_truenodeids": [index for _, index in nodes.left],
        "nodes_trueleafs": [int(is_leaf) for is_leaf, _ in nodes.left],
        "nodes_falsenodeids": [index for _, index in nodes.right],
        "nodes_falseleafs": [int(is_leaf) for is_leaf, _ in nodes.right],
        "leaf_targetids": nodes.leaf_target,
        "leaf_weights": doubles(nodes.leaf_value),
        "aggregate_function": 1,  # sum
        "post_transform": 0,  # none
    }
    if nodes.members:
        sets = [[*map(float, nodes.members[index]), float("nan")] for index in sorted(nodes.members)]
        attributes["membership_values"] = doubles([code for one in sets for code in one])
    return graph.add("TreeEnsemble", graph.cast(INPUT, np.float64), domain="ai.onnx.ml", **attributes)
