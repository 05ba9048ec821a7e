"""Drivers that turn declarations into compiled code."""
