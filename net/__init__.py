"""Reachability: network drivers, ports, host names."""
