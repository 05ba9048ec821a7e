"""The command lines of batch scoring: a module for each of `lossd score`, `compare`, `jobs`."""
