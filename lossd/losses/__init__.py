"""The catalogue: one declaration per loss, one file per family. Importing it fills the registry."""

from lossd.losses import (
    boxes,
    classification,
    detection,
    embedding,
    likelihood,
    margin,
    probability,
    regression,
    segmentation,
    sequence,
)

__all__ = [
    "boxes",
    "classification",
    "detection",
    "embedding",
    "likelihood",
    "margin",
    "probability",
    "regression",
    "segmentation",
    "sequence",
]
