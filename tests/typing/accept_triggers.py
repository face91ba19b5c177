"""Triggers that are right: a decorated task is still the task that it was."""

from datetime import date, datetime, timedelta

import levada as lv


@lv.on(lv.arrival("s3://in/{day}.csv"), name="come", day=lv.path.day, deadline=timedelta(hours=1), on_deadline="fail")
@lv.schedule("0 6 * * *", zone="Europe/Lisbon", day=lv.fire.day - 1, overlap="queue_one", start=datetime(2024, 1, 1))
class Report(lv.Task):
    day: date
    window: int = 7


report: Report = Report(day=date(2024, 1, 31), window=3)
triggers = [
    lv.trigger(Report, lv.cron("0 6 * * *", zone="UTC"), day=lv.fire.previous.day + 1, name="a"),
    lv.trigger(Report, lv.every(timedelta(hours=1), at=date(2024, 1, 1)), params={"day": f"{lv.fire.day}"}, name="b"),
    lv.trigger(Report, lv.event("changed", bucket="in"), day=lv.event.detail.day, window=lv.event["detail-window"], name="c"),
    lv.trigger(Report, lv.after(Report, report, "Other", outcome="failed", any_of=True), day=lv.ended.day, name="d"),
]
