"""The kernel as an ordinary user sees it. Standard library only."""
