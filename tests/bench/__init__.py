"""Benchmarks against Debian's podman."""
