"""Triggers: what makes tasks wanted by itself. ``defining`` is what authors write, ``calendars`` when schedules fire."""

from .defining import after as after
from .defining import arrival as arrival
from .defining import cron as cron
from .defining import ended as ended
from .defining import event as event
from .defining import every as every
from .defining import fire as fire
from .defining import kinds_of as kinds_of
from .defining import on as on
from .defining import path as path
from .defining import rrule as rrule
from .defining import schedule as schedule
from .defining import trigger as trigger
from .defining import triggers_of as triggers_of
