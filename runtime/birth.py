"""The first steps of a monitor: it leaves the terminal, and forks the process that makes the namespaces.

Apart from the rest of the monitor, which is loaded while newuidmap and newgidmap run: nothing else may be
imported here.
"""

import _signal
import os

from pyctr.rootless import cgroups, processes, syscalls, userns
from pyctr.runtime import init, messages
from pyctr.runtime.messages import Begin, Channel, Entered, Mapped
from pyctr.runtime.pipes import Pipes


class Newborn:
    """The process that makes the namespaces, and what it shares with the monitor."""

    def __init__(self, begin: Begin) -> None:
        """Forks it and starts to map its ids. PyctrError."""
        self.pipes = Pipes()
        self.cgroup = cgroups.make(os.getpid())
        self.channel, theirs = messages.channel_pair()
        self.pid = os.fork()
        if not self.pid:
            init.serve(theirs, self.pipes.container_ends(), begin.namespaces, self.cgroup)
        theirs.close()
        self.pipes.close_container_ends()
        self.channel.expect(Entered)
        self._mapping = userns.start_mapping(self.pid, begin.maps)

    def finish_mapping(self) -> None:
        """Lets pid 1 go on, as root of its user namespace. PyctrError."""
        userns.finish_mapping(self._mapping)
        self.channel.send(Mapped())

    def end(self) -> None:
        """Ends the process that has made pid 1, which is our own child from then on: its PDEATHSIG is
        about us.
        """
        os.kill(self.pid, _signal.SIGKILL)
        os.waitpid(self.pid, 0)


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
