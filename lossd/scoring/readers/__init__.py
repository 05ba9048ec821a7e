"""Readers of files: one module for each format, and what makes one source of many files."""

from lossd.scoring.readers.fingerprint import fingerprint
from lossd.scoring.readers.opening import open_source

__all__ = ["fingerprint", "open_source"]
