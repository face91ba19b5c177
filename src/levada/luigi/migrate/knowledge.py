"""What `levada migrate check` knows beyond the annex itself: what behaves differently here, and words of Luigi.

Each difference is a row of the table in docs/luigi.md, by the same name. Which names exist is asked of the annex
(``annex.py``), never written down here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

PAGE = "docs/luigi.md"


class Difference(NamedTuple):
    """What is not as in Luigi, and why that is better (or that it is Luigi's way, and which is ours)."""

    what: str
    why: str


DIFFERENCES: Mapping[str, Difference] = {
    "patched-names": Difference(
        "a name of Luigi is replaced at run time",
        "the name is there and is asked where Luigi asks it, but the work is done by Levada's own run loop: run the program's tests",
    ),
    "set-names": Difference(
        "a name is set that is not there",
        "nothing of Levada asks for it: where only the program's own code does, all is well; where Luigi would have asked, nothing changes",
    ),
    "private-names": Difference(
        "a name is used that Luigi keeps to itself",
        "thin doubles of the names that frameworks need are there; what they promise is no more than Luigi did: run the program's tests",
    ),
    "worker": Difference(
        "Luigi's worker is used directly",
        "its methods are doors to Levada's run loop: leases and fences instead of pings, processes that are reaped with their children",
    ),
    "scheduler": Difference(
        "Luigi's scheduler is used directly",
        "its calls reach Levada's brain: a task that was granted to another worker cannot be reported over",
    ),
    "central-scheduler": Difference(
        "a central scheduler is asked",
        "`levada server` takes the place of luigid: it stores each change before it answers, and a restart loses nothing",
    ),
    "dynamic-requirements": Difference(
        "`run` yields requirements",
        "started by Luigi's doors it is begun anew after each yield, as old programs expect; `levada run` goes on where it stopped",
    ),
    "no-output": Difference(
        "a task has `run` but neither `output` nor `complete`",
        "it is done when `run` ends and is run again next time, as in Luigi; `levada run` says so instead of being silent",
    ),
    "exit-codes": Difference(
        "no return codes are set",
        "Luigi exits with 0 whatever failed, and so does a script that calls luigi.run(); `levada luigi` says it by its exit code, as "
        "`levada run` does, unless [retcode] sets other codes",
    ),
    "object-stores": Difference(
        "objects of S3, Google Cloud Storage or Azure are read and written",
        "by the vendor's client, as in Luigi, which has to be installed; a half-written object is never seen, and a store that gives no "
        "answer is an error, not an absent object",
    ),
    "hdfs-clients": Difference(
        "HDFS is spoken natively",
        "no JVM is started for each command; which client the configuration names no longer matters",
    ),
    "no-pickle": Difference(
        "a task travels to its job by name and parameters, never pickled",
        "its code goes along as before, but of its attributes only plain ones that `init_local` has set; no pickle is read there",
    ),
    "failed-jobs": Difference(
        "a failed job fails its task",
        "Luigi logged it and went on (SGE, LSF), or ended the worker (Beam); the job is cancelled with its attempt, and nothing is pickled",
    ),
    "jobs": Difference(
        "a job is handed over",
        "it runs once, and is found again after the worker's end; it is named by its submission, so that `name`, `job_name`, "
        "`auto_remove`, `poll_time` and `backoff_limit` are not used",
    ),
    "mail": Difference(
        "error mails are sent",
        "they are sent as Luigi's settings say; Levada's own alerts tell each failure once, not at each attempt",
    ),
}
"""Name of the row -> what it says."""

NAMES: Mapping[str, str] = {
    "luigi.worker": "worker",
    "luigi.scheduler": "scheduler",
    "luigi.rpc": "central-scheduler",
    "luigi.server": "central-scheduler",
    "luigi.cmdline.luigid": "central-scheduler",
    "luigi.notifications": "mail",
    "luigi.contrib.s3": "object-stores",
    "luigi.contrib.gcs": "object-stores",
    "luigi.contrib.azureblob": "object-stores",
    "luigi.contrib.hdfs": "hdfs-clients",
    "luigi.contrib.hadoop": "no-pickle",
    "luigi.contrib.spark.PySparkTask": "no-pickle",
    "luigi.contrib.sge": "failed-jobs",
    "luigi.contrib.lsf": "failed-jobs",
    "luigi.contrib.beam_dataflow": "failed-jobs",
    "luigi.contrib.batch": "jobs",
    "luigi.contrib.ecs": "jobs",
    "luigi.contrib.kubernetes": "jobs",
    "luigi.contrib.docker_runner": "jobs",
}
"""Name of Luigi -> the row that tells what is different; of a name and all below it, the longest counts."""

SECTIONS: Mapping[str, str] = {
    "DEFAULT": "",
    "core": "luigi.interface",
    "worker": "luigi.worker",
    "scheduler": "luigi.scheduler",
    "retcode": "luigi.retcodes",
    "resources": "",
    "email": "luigi.notifications",
    "smtp": "luigi.notifications",
    "sendgrid": "luigi.notifications",
    "batch_email": "luigi.batch_notifier",
    "cors": "luigi.server",
    "execution_summary": "luigi.execution_summary",
    "task_history": "luigi.db_task_history",
    "logging": "luigi.setup_logging",
    "loggers": "luigi.setup_logging",
    "elasticsearch": "luigi.contrib.esindex",
    "hadoop": "luigi.contrib.hadoop",
    "hadoopcli": "luigi.contrib.hdfs",
    "hdfs": "luigi.contrib.hdfs",
    "webhdfs": "luigi.contrib.webhdfs",
    "hive": "luigi.contrib.hive",
    "kubernetes": "luigi.contrib.kubernetes",
    "mssql": "luigi.contrib.mssqldb",
    "mysql": "luigi.contrib.mysqldb",
    "postgres": "luigi.contrib.postgres",
    "pyspark_runner": "luigi.contrib.pyspark_runner",
    "redis": "luigi.contrib.redis_store",
    "redshift": "luigi.contrib.redshift",
    "s3": "luigi.contrib.s3",
    "spark": "luigi.contrib.spark",
    "sqlalchemy": "luigi.contrib.sqla",
    "pig": "luigi.contrib.pig",
    "prometheus": "luigi.contrib.prometheus_metric",
    "datadog": "luigi.contrib.datadog_metric",
    "scalding": "luigi.contrib.scalding",
    "salesforce": "luigi.contrib.salesforce",
    "pai": "luigi.contrib.pai",
}
"""Section of Luigi's configuration -> the module that reads it; "" where any key is one of the program's own."""

TASK_WORDS: frozenset[str] = frozenset(
    "accepts_messages batchable disable_hard_timeout disable_window disable_window_seconds disabled max_batch_size owner_email "
    "process_resources resources retry_count task_namespace use_cmdline_section worker_timeout priority on_failure on_success "
    "get_task_family get_task_namespace get_params get_param_values from_str_params to_str_params event_handler trigger_event "
    "remove_event_handler set_tracking_url set_status_message set_progress_percentage decrease_running_resources".split()
)
"""What Luigi reads of a task class: one that the house's Task has not is not understood."""

CORE_OPTIONS: frozenset[str] = frozenset(
    "--local-scheduler --scheduler-host --scheduler-port --scheduler-url --lock-size --no-lock --lock-pid-dir --take-lock --workers "
    "--logging-conf-file --log-level --module --parallel-scheduling --parallel-scheduling-processes --assistant --help-all --version "
    "--autoload-range --no-configure-logging --use-cmdline-section".split()
)
"""Options of Luigi's own command line."""
