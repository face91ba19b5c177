"""Triggers that are wrong: each marked line is an error, no other."""

from datetime import date

import levada as lv


@lv.schedule("0 6 * * *", zone="Europe/Lisbon", day=lv.fire.day - 1)
class Report(lv.Task):
    day: date


Report(day="2024-01-31")  # E:
lv.schedule("0 6 * * *", day=lv.fire.day)  # E:
lv.trigger(Report, "0 6 * * *", day=lv.fire.day)  # E:
lv.trigger(Report, lv.cron("0 6 * * *", zone="UTC"), day=lv.fire.day, overlap="queue")  # E:
lv.fire.day - date(2024, 1, 1)  # E:
lv.after(Report, outcome="fine")  # E:
