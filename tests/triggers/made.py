"""Triggers of all kinds, with all policies, drawn from dice."""

from __future__ import annotations

from random import Random

from levada._model.triggers import MISSED, OVERLAP, After, Arrival, Cron, Event, Every, Rule, Trigger, When

FAMILIES = ("A", "B", "C", "D")
PATTERN = "s3://in/{day}.csv"
ZONES = ("UTC", "Europe/Lisbon", "Australia/Lord_Howe", "America/St_Johns", "Asia/Kathmandu", "Pacific/Apia", "America/New_York")
STARTS = (
    1_711_846_800.0,  # 2024-03-31T01:00Z: Europe forward
    1_729_990_800.0,  # 2024-10-27T01:00Z: and back
    1_712_415_600.0,  # 2024-04-06T15:00Z: Lord Howe back by half an hour
    1_728_142_200.0,  # 2024-10-05T15:30Z: and forward
    1_710_054_000.0,  # 2024-03-10T07:00Z: New York forward
    1_704_067_200.0,  # a new year
)


def _when(dice: Random, names: list[str], *, schedules_alone: bool) -> tuple[When, str]:
    """And what its parameter is filled in with."""
    kind = dice.random()
    zone = dice.choice(ZONES)
    if kind < 0.35 or schedules_alone:
        lines = ("0 6 * * *", "30 1 * * *", "30 2 * * *", "0 */6 * * *", "15 */4 * * *", "0 0 1 * *", "@daily", "7 1,13 * * MON-FRI")
        return Cron(dice.choice(lines), zone), "{fire.day - 1}"
    if kind < 0.5:
        return Every(dice.choice([7 * 3600.0, 36 * 3600.0, 5 * 3600.5]), zone, dice.choice(["", "2024-01-01T06:00"])), "{fire.time}"
    if kind < 0.55:
        return Rule("DTSTART:20240101T060000\nRRULE:FREQ=DAILY;BYHOUR=1,2,14", zone), "{fire.hour}"
    if kind < 0.7:
        return Arrival(PATTERN), "{path.day}"
    if kind < 0.85:
        return Event("landed", dice.choice([(), (("day", "2024-02-01"),)])), "{event.day}"
    others = dice.sample(names, dice.randint(1, min(2, len(names))))
    return After(tuple(f"trigger:{name}" for name in others), dice.choice(["done", "failed", "ended"]), dice.random() < 0.3), "{ended.day}"


def draw_trigger(dice: Random, name: str, names: list[str], *, schedules_alone: bool) -> Trigger:
    """One of them."""
    when, text = _when(dice, names, schedules_alone=schedules_alone)
    most = dice.choice([0, 0, 1, 2])
    return Trigger(
        name,
        dice.choice(FAMILIES),
        (("day", text),),
        when,
        jitter=dice.choice([0.0, 0.0, 30.0, 5_000.0, 40_000.0]),
        start=dice.choice(["", "", "2024-03-31T02:00"]),
        end=dice.choice(["", "", "", "2024-12-31T02:00"]),
        overlap=dice.choice(OVERLAP),
        missed=dice.choice(MISSED),
        most=most,
        per=dice.choice([10.0, 60.0]) if most else 0.0,
        deadline=dice.choice([None, None, None, 600.0, 90_000.0]),
        on_deadline=dice.choice(["alert", "fail"]),
        paused=dice.random() < 0.1,
    )
