"""Batch scoring: losses of predictions and targets that lie in files, larger than memory."""
