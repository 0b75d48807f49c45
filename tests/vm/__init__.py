"""A Debian machine with systemd, for what needs one: sessions, lingering, cgroup controllers."""
