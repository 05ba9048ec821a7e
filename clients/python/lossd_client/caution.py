"""Warnings that point at the caller's line."""

import sys
import warnings


def warn(message: str, category: type[Warning] = UserWarning) -> None:
    """Warn the first caller outside this package, and outside torch's modules that call it."""
    within = "lossd_client.", "torch.nn.modules.module"
    level, frame = 1, sys._getframe()
    while frame is not None and frame.f_globals.get("__name__", "").startswith(within):
        level, frame = level + 1, frame.f_back  # type: ignore[assignment]
    warnings.warn(message, category, stacklevel=level)
