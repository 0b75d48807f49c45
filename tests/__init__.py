"""Tests against the real thing: namespaces, mounts, registries, networks. Folders as in the source."""
