"""Where large arrays come from."""

from typing import Final

from lossd_client.buffers import Pool

pool: Final = Pool()
"""Gradients, losses, and what is computed on the way to them."""
