"""The sections and keys of the configuration: the only list; docs, ``config explain`` and errors use it.

A reader turns what a file gave (a TOML value) or the environment gave (text) into the setting's value,
and raises ValueError with what it expected. A new room adds its section here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ..errors import ConfigError

Reader = Callable[[object, bool], object]
"""(value, came as text from the environment) -> the setting's value; ValueError says what is expected."""


class Key:
    """One setting: how its value is read, and a line of help. is_secret: its value is never shown."""

    __slots__ = ("help", "is_path", "is_secret", "read")

    def __init__(self, read: Reader, help: str, *, is_path: bool = False, is_secret: bool = False) -> None:
        self.read, self.help, self.is_path, self.is_secret = read, help, is_path, is_secret


def _text(value: object, from_text: bool) -> object:
    if not isinstance(value, str) or not value:
        raise ValueError("a text that is not empty")
    return value


def _texts(value: object, from_text: bool) -> object:
    if from_text and isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    if not isinstance(value, list) or not all(isinstance(each, str) and each for each in value):
        raise ValueError('a list of texts, like ["flights", "reports"] (in the environment: flights,reports)')
    return tuple(value)


def _shared(value: object, from_text: bool) -> object:
    """What is kept in the memory of a process no other one sees."""
    text = _text(value, from_text)
    if isinstance(text, str) and text.startswith("memory:"):
        raise ValueError("a folder, or a URL that other processes can see, as s3://bucket/jobs; what is in memory:// only its process sees")
    return text


def _whole(least: int) -> Reader:
    def read(value: object, from_text: bool) -> object:
        digits = isinstance(value, str) and from_text and value.strip().isdecimal()
        number = int(value) if digits else value  # type: ignore[call-overload]  # mypy does not narrow by a named test
        if not isinstance(number, int) or isinstance(number, bool) or number < least:
            raise ValueError(f"a whole number of {least} or more")
        return number

    return read


def _seconds(value: object, from_text: bool) -> object:
    try:
        number = float(value) if from_text and isinstance(value, str) else value
    except ValueError:
        number = None
    if not isinstance(number, (int, float)) or isinstance(number, bool) or not 0 <= number < float("inf"):
        raise ValueError("seconds, 0 or more")
    return number


LONGEST_LEASE = 3600


def _lease(value: object, from_text: bool) -> object:
    """Not so short that a renewal cannot arrive in time, and not so long that what a dead worker held is lost for a day."""
    number = _seconds(value, from_text)
    if not isinstance(number, (int, float)) or not 1 <= number <= LONGEST_LEASE:
        raise ValueError(f"seconds, 1 to {LONGEST_LEASE:,}")
    return number


def _yes_or_no(value: object, from_text: bool) -> object:
    word = value.strip().lower() if from_text and isinstance(value, str) else value
    if word is True or word in ("true", "yes", "on", "1"):
        return True
    if word is False or word in ("false", "no", "off", "0"):
        return False
    raise ValueError("true or false")


def _one_of(*words: str) -> Reader:
    """One of these words, in small letters or capitals (old command lines say --log-level INFO)."""

    def read(value: object, from_text: bool) -> object:
        word = value.lower() if isinstance(value, str) else value
        if word not in words:
            raise ValueError(f"one of {', '.join(words)}")
        return word

    return read


def _addresses(value: object, from_text: bool) -> object:
    """In the environment with spaces between: commas are part of addresses."""
    if from_text and isinstance(value, str):
        return tuple(value.split())
    if isinstance(value, str):
        raise ValueError('a list of addresses: put it in [ ], as in ["json://HOST/PATH"]')
    if not isinstance(value, list) or not all(isinstance(each, str) and each for each in value):
        raise ValueError('a list of addresses, like ["json://HOST/PATH", "secret://env/NAME"]')
    return tuple(value)


def _owners(value: object, from_text: bool) -> object:
    if not isinstance(value, dict) or not all(isinstance(each, list) for each in value.values()):
        raise ValueError('a table in a file: below [alerts.owners], lines like ana = ["mailto://..."] or "family:Load" = ["slack://..."]')
    return {name: _addresses(each, False) for name, each in value.items()}


ALARMS = ("failed", "disabled", "deadline", "recovered")


def _alarms(value: object, from_text: bool) -> object:
    words = _texts(value, from_text)
    if not isinstance(words, tuple) or not {*words} <= {*ALARMS}:
        raise ValueError(f"a list out of {', '.join(ALARMS)}")
    return words


RESOURCE = Key(_whole(0), "how much of the named resource there is for all tasks of a run")

SECTIONS: Mapping[str, Mapping[str, Key]] = {
    "levada": {
        "modules": Key(_texts, "modules that define tasks; imported when no --module is given"),
        "state": Key(_text, "the state folder (locks, attempt history)", is_path=True),
        "scheduler": Key(_text, "addresses of a server, with commas between them: it says who runs what; none: no server"),
        "token_file": Key(_text, "file with the token for the server", is_path=True),
        "ca": Key(_text, "certificates to trust for https, instead of the system's (PEM)", is_path=True),
    },
    "run": {
        "workers": Key(_whole(1), "slots: so many tasks at once"),
        "executor": Key(_one_of("inline", "threads", "processes"), "where tasks run"),
        "attempts": Key(_whole(1), "attempts of a task in all, for tasks that do not say it themselves"),
        "goals": Key(_whole(0), "goals that a resident worker unfolds at once; 0: none"),
        "poll": Key(_seconds, "seconds at most between two looks for data that a resident worker's goals wait for"),
        "grace": Key(_seconds, "seconds that running tasks are given when the run is stopped"),
        "cut_off": Key(_one_of("freeze", "continue", "stop"), "what becomes of an attempt whose lease may have lapsed"),
        "patience": Key(_seconds, "seconds without an answer of the server, and with nothing that runs, until a run ends"),
        "console": Key(_yes_or_no, "show progress while running"),
        "log_level": Key(_one_of("debug", "info", "warning", "error"), "least level of log lines that are shown"),
    },
    "jobs": {
        "engine": Key(_text, "where tasks hand their jobs over that do not say it themselves, as slurm or ssh://HOST; else local"),
        "slots": Key(_whole(1), "jobs elsewhere that one worker waits for at a time"),
        "book": Key(_shared, "folder or URL of the book of jobs, for several hosts to share; else the state folder"),
    },
    "server": {
        "store": Key(_text, "where the server keeps its state: a file, or postgresql://USER@HOST/DATABASE"),
        "synchronous": Key(_one_of("full", "normal"), "full: survives power cuts; normal: survives crashes"),
        "lease": Key(_lease, "seconds for which a task stays with a worker that is silent"),
        "luigi": Key(_yes_or_no, "let workers of Luigi in, too (docs/luigi-workers.md)"),
        "tls_certificate": Key(_text, "certificate of the server (PEM)", is_path=True),
        "tls_key": Key(_text, "its key (PEM)", is_path=True),
        "notices_secret": Key(_text, "what stores sign their notices with, in place of a token", is_secret=True),
    },
    "alerts": {
        "to": Key(_addresses, "addresses that are told what goes wrong, as mailto://, slack://, json://", is_secret=True),
        "owners": Key(_owners, "addresses by name of owner, or family:NAME, for tasks of theirs", is_secret=True),
        "on": Key(_alarms, "what is told: failed, disabled, deadline, recovered; else all four"),
        "window": Key(_seconds, "seconds for which failures of one cause are gathered before the first message; else 30"),
        "most": Key(_whole(1), "messages an hour to one address, after which a summary follows; else 20"),
        "url": Key(_text, "address of the server's page, for messages to name"),
    },
    "hdfs": {
        "namenode": Key(_text, "HOST:PORT or name service of hdfs:// paths that name none; else fs.defaultFS of the Hadoop configuration"),
        "local_root": Key(_text, "folder that stands for the root of hdfs:// paths, instead of name nodes", is_path=True),
    },
    "spark": {
        "submit": Key(_text, "the program spark-submit; else that of SPARK_HOME, on PATH, or of the package pyspark"),
        "master": Key(_text, "master of applications that name none, as spark://HOST:7077, yarn, local[4]; else Spark's own configuration"),
        "rest": Key(_text, "addresses of the master's REST interface, commas between; else http://HOST:6066 of the master"),
        "ui": Key(_text, "address of the master's page, by which logs of drivers in the cluster are found; else http://HOST:8080"),
        "folder": Key(_text, "folder for the code of PySparkTasks; for drivers in a cluster one that all its hosts see", is_path=True),
    },
    "hadoop": {
        "local": Key(_yes_or_no, "run HadoopJobTasks in the process of their worker, without a cluster"),
        "command": Key(_text, "the program that submits jobs; none: $HADOOP_HOME/bin/hadoop, or `hadoop` of the path"),
        "streaming_jar": Key(_text, "the jar of Hadoop Streaming; none: the one in share/hadoop/tools/lib"),
        "python": Key(_text, "the Python of the nodes, 3.11 or newer; none: python3"),
        "resource_manager": Key(_text, "HOST:PORT of its web interface, several with commas; none: yarn-site.xml says it"),
        "history_server": Key(_text, "HOST:PORT of the job history server's web interface; none: mapred-site.xml says it"),
    },
    "s3": {
        "endpoint": Key(_text, "address of what speaks S3, as https://minio.example.org:9000; none: AWS_ENDPOINT_URL, or Amazon's"),
        "region": Key(_text, "region of the buckets; none: AWS_REGION"),
    },
    "gs": {
        "endpoint": Key(_text, "address of what speaks like Google Cloud Storage; none: GOOGLE_BASE_URL, or Google's"),
    },
    "az": {
        "account": Key(_text, "storage account of the containers; none: AZURE_STORAGE_ACCOUNT_NAME"),
        "endpoint": Key(_text, "address of the account's blob service; none: AZURE_ENDPOINT, or Azure's"),
    },
    "ssh": {
        "config": Key(_text, "configuration of OpenSSH to read instead of ~/.ssh/config", is_path=True),
    },
    "htcondor": {
        "folder": Key(_text, "folder of jobs' scripts and logs, seen by worker and schedd; none: ~/.levada/jobs", is_path=True),
    },
    "slurm": {
        "folder": Key(_text, "folder of jobs' scripts and logs, shared by workers and nodes; none: ~/.levada/jobs", is_path=True),
    },
    "sql": {
        "marker_table": Key(_text, "table of the markers of SqlTarget, made where it is absent; none: table_updates"),
    },
}
"""Sections with fixed keys. ``[resources]`` (any name) and ``[params.Family]`` (any value) stand beside them."""

FREE_SECTIONS = ("resources", "params")


def key_of(section: str, key: str) -> Key | None:
    """How a setting is read, or None when there is none of that name."""
    return RESOURCE if section == "resources" else SECTIONS.get(section, {}).get(key)


def read_setting(section: str, key: str, value: object, *, where: str, from_text: bool) -> object:
    """The setting's value; ConfigError when section, key or value is wrong, with the nearest right spelling."""
    known = key_of(section, key)
    if known is None:
        raise unknown(section, key, where)
    try:
        return known.read(value, from_text)
    except ValueError as expected:
        got = "what is not shown, for it is secret" if known.is_secret else repr(value)
        raise ConfigError(f"{where}: got {got}, expected {expected}", hint=f"It says: {known.help}.") from None


def unknown(section: str, key: str | None, where: str) -> ConfigError:
    """The error for a section, or a key of a known section, that does not exist."""
    from .._model.spelling import did_you_mean

    if section not in SECTIONS or key is None:
        every = [*SECTIONS, *FREE_SECTIONS]
        hint = did_you_mean(section, every, "[{}]") or f"Sections are {', '.join(every)}."
        return ConfigError(f"{where}: there is no section [{section}]", hint=hint)
    keys = SECTIONS[section]
    hint = did_you_mean(key, keys) or f"Keys of [{section}] are {', '.join(keys)}."
    return ConfigError(f"{where}: [{section}] has no key {key!r}", hint=hint)
