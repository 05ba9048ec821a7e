"""The catalogue: one declaration per loss, one file per family. Importing it fills the registry."""

from lossd.losses import (
    boxes,
    classification,
    detection,
    distillation,
    embedding,
    likelihood,
    linear,
    margin,
    policy,
    preference,
    probability,
    ranking,
    recognition,
    regression,
    segmentation,
    sequence,
)

__all__ = [
    "boxes",
    "classification",
    "detection",
    "distillation",
    "embedding",
    "likelihood",
    "linear",
    "margin",
    "policy",
    "preference",
    "probability",
    "ranking",
    "recognition",
    "regression",
    "segmentation",
    "sequence",
]
