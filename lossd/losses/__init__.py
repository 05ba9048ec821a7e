"""The catalogue: one declaration per loss, one file per family. Importing it fills the registry."""

from lossd.losses import classification, embedding, probability, regression

__all__ = ["classification", "embedding", "probability", "regression"]
