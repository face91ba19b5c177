"""Luigi's ``luigi.event``: names of the moments that handlers are attached to."""

from ..task import Event as Event
