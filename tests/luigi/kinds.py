"""Tasks with each kind of parameter, in Luigi's spelling; the test runs this in Luigi and in Levada. Prints JSON."""

KINDS = """
import datetime as dt, enum, json, sys, warnings
warnings.simplefilter("ignore")
import luigi

class Colour(enum.Enum):
    RED = 1
    BLUE = 2

class Other(luigi.Task):
    pass

DAY, MOMENT = dt.date(2024, 2, 29), dt.datetime(2024, 2, 29, 5, 7, 9)
CASES = [
    (luigi.Parameter, {}, "a b/\\u00fc'\\""), (luigi.Parameter, {}, ""), (luigi.Parameter, {"default": None}, None),
    (luigi.OptionalParameter, {}, None), (luigi.OptionalParameter, {}, "q"), (luigi.OptionalIntParameter, {}, None),
    (luigi.OptionalIntParameter, {}, 3), (luigi.OptionalFloatParameter, {}, 1.5), (luigi.OptionalBoolParameter, {}, None),
    (luigi.IntParameter, {}, -3), (luigi.IntParameter, {}, 2**62), (luigi.FloatParameter, {}, 1.5), (luigi.FloatParameter, {}, 1e22),
    (luigi.BoolParameter, {}, True), (luigi.BoolParameter, {}, False),
    (luigi.DateParameter, {}, DAY), (luigi.MonthParameter, {}, DAY), (luigi.YearParameter, {}, DAY),
    (luigi.DateHourParameter, {}, MOMENT), (luigi.DateMinuteParameter, {}, MOMENT), (luigi.DateSecondParameter, {}, MOMENT),
    (luigi.DateMinuteParameter, {"interval": 15}, MOMENT),
    (luigi.TimeDeltaParameter, {}, dt.timedelta(days=15, hours=2, seconds=61)), (luigi.TimeDeltaParameter, {}, dt.timedelta(0)),
    (luigi.TimeDeltaParameter, {}, dt.timedelta(days=-1, seconds=5)),
    (luigi.ListParameter, {}, [1, "a", [2, 3], {"b": None}]), (luigi.ListParameter, {}, []),
    (luigi.ListParameter, {}, ["\\u00fc", 1.0, True]),
    (luigi.TupleParameter, {}, ((1, 2), ("x", "y"))), (luigi.DictParameter, {}, {"b": 1, "a": [1, {"c": None}]}),
    (luigi.EnumParameter, {"enum": Colour}, Colour.RED), (luigi.EnumListParameter, {"enum": Colour}, (Colour.RED, Colour.BLUE)),
    (luigi.ChoiceParameter, {"choices": ["a", "b"]}, "b"), (luigi.ChoiceParameter, {"choices": [1, 2], "var_type": int}, 2),
    (luigi.ChoiceListParameter, {"choices": ["a", "b"]}, ("b", "a")),
    (luigi.NumericalParameter, {"var_type": int, "min_value": 0, "max_value": 9}, 4),
    (luigi.PathParameter, {}, "/a/b"), (luigi.TaskParameter, {}, Other), (luigi.Parameter, {"significant": False}, "away"),
]
SPANS = ["2024-02-03", "2024-02", "2024", "2024-W05", "2024-01-01-2024-01-05"]
CASES += [(luigi.DateIntervalParameter, {}, luigi.DateIntervalParameter().parse(span)) for span in SPANS]

shown = []
for number, (kind, options, value) in enumerate(CASES):
    names = {"x": kind(**options), "b": luigi.IntParameter(default=7), "s": luigi.Parameter(default="no part", significant=False)}
    task = type(f"T{number}", (luigi.Task,), {**names, "__module__": "kinds"})(x=value)
    key = task.key.hex() if hasattr(task, "key") else ""
    texts = (task.to_str_params if hasattr(task, "to_str_params") else task.to_texts)()
    shown.append([kind.__name__, repr(value), task.task_id, task.task_family, texts, key])
print(json.dumps(shown))
"""
