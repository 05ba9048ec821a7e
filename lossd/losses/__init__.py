"""The catalogue: one declaration per loss, one file per family. Importing it fills the registry."""

from lossd.losses import (
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
    sequence,
)

__all__ = [
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
    "sequence",
]
