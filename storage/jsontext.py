"""Moved to pyctr.rootless.jsontext, which every layer may use."""

from pyctr.rootless.jsontext import dumps as dumps
from pyctr.rootless.jsontext import loads as loads
