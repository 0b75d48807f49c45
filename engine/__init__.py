"""What every front door calls: create, start, stop, remove, list, inspect as functions on values."""
