"""The first steps of a monitor: it leaves the terminal, and forks the container's pid 1 into its namespaces.

Apart from the rest of the monitor, which is loaded while newuidmap and newgidmap run: nothing else may be
imported here.
"""

import os

from pyctr.rootless import cgroups, processes, syscalls, userns
from pyctr.rootless.errors import PyctrError
from pyctr.runtime import init, messages
from pyctr.runtime.messages import Begin, Channel, Mapped
from pyctr.runtime.pipes import Pipes


class Newborn:
    """The container's pid 1, and what it shares with the monitor."""

    def __init__(self, begin: Begin) -> None:
        """Forks it and starts to map its ids. PyctrError."""
        self.pipes = Pipes()
        self.cgroup = cgroups.make(os.getpid())
        self.channel, theirs = messages.channel_pair()
        self.pid = userns.fork_inside(init.born_in(begin.namespaces))
        if not self.pid:
            init.serve(theirs, self.pipes.container_ends(), begin.namespaces, self.cgroup)
        theirs.close()
        self.pipes.close_container_ends()
        self._mapping = userns.start_mapping(self.pid, begin.maps)

    def finish_mapping(self) -> None:
        """Lets pid 1 go on, as root of its user namespace. PyctrError."""
        try:
            userns.finish_mapping(self._mapping)
        except PyctrError:
            if init.is_hung_up(self.channel):
                self.channel.expect(Mapped)  # raises what ended pid 1
            raise
        self.channel.tell(Mapped())


def bear(control: Channel, keep: "set[int]") -> Newborn:
    """A session of our own, parent of every orphan of the container, no descriptor but those in `keep`;
    then the fork.
    """
    processes.close_all_but(keep)
    os.setsid()
    syscalls.prctl(syscalls.PR_SET_CHILD_SUBREAPER, 1)
    os.chdir("/")
    processes.set_name("pyctr-monitor")
    return Newborn(control.expect(Begin))
