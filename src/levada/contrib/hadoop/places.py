"""Where Hadoop is: its configuration, its command, its servers.

``[hadoop]`` of ``levada.toml`` goes before what HADOOP_CONF_DIR and HADOOP_HOME lead to.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from xml.etree import ElementTree

from levada.config import setting
from levada.errors import EngineError, JobRefused

_FILES = ("core-site.xml", "yarn-site.xml", "mapred-site.xml")
_MANAGER_PORT, _HISTORY_PORT = 8088, 19888


def configuration() -> dict[str, str]:
    """Properties of the site's files; none where no folder is named. Raises EngineError for a file that is no configuration."""
    folder, found = _folder(), {}
    for name in _FILES if folder else ():
        path = os.path.join(folder, name)
        try:
            tree = ElementTree.parse(path)  # noqa: S314 - the user's own configuration, which Hadoop's programs read too
        except FileNotFoundError:
            continue
        except (OSError, ElementTree.ParseError) as cause:
            raise EngineError(
                f"{path}: cannot be read ({cause})", hint="HADOOP_CONF_DIR names the folder of Hadoop's configuration."
            ) from cause
        for one in tree.iter("property"):
            key, value = one.findtext("name"), one.findtext("value")
            if key and value is not None:
                found[key.strip()] = value.strip()
    return found


def managers(rest: str) -> list[str]:
    """Addresses of the resource managers' web interface, as ``http://host:8088``; several where they are highly available.

    rest: what the engine's address says after ``hadoop://``. Raises EngineError when nothing names one.
    """
    named = rest or _text("resource_manager")
    if named:
        return [_url(one.strip(), _MANAGER_PORT) for one in named.split(",")]
    known = configuration()
    ids = [one.strip() for one in known.get("yarn.resourcemanager.ha.rm-ids", "").split(",") if one.strip()]
    secure = known.get("yarn.http.policy") == "HTTPS_ONLY"
    found = [_manager(known, f".{one}" if one else "", secure) for one in ids or [""]]
    if not all(found):
        raise EngineError(
            "hadoop: no resource manager is named, by the address, `[hadoop] resource_manager` or yarn-site.xml",
            hint="Let HADOOP_CONF_DIR name the folder of yarn-site.xml, or write hadoop://HOST:8088.",
        )
    return found


def _manager(known: dict[str, str], suffix: str, secure: bool) -> str:
    key = "yarn.resourcemanager.webapp.https.address" if secure else "yarn.resourcemanager.webapp.address"
    port = 8090 if secure else _MANAGER_PORT
    address = known.get(f"{key}{suffix}", "")
    if not address or "${" in address:
        host = known.get(f"yarn.resourcemanager.hostname{suffix}", "")
        address = f"{host}:{port}" if host else ""
    return _url(address, port, "https" if secure else "http") if address else ""


def history(manager: str) -> str:
    """Address of the job history server's web interface; beside the resource manager where nothing says it."""
    named = _text("history_server") or configuration().get("mapreduce.jobhistory.webapp.address", "")
    if named and not named.startswith("0.0.0.0"):  # noqa: S104 - "all addresses" is where a server listens, not where it is asked
        return _url(named, _HISTORY_PORT)
    host = manager.partition("://")[2].rpartition(":")[0]
    return f"http://{host}:{_HISTORY_PORT}"


def command(named: str = "") -> list[str]:
    """The program ``hadoop``, with options: the one that a job names, else the configured one. Raises EngineError: there is none."""
    home = os.environ.get("HADOOP_HOME")
    named, *options = named.split() or [_text("command")]
    tried = [named, f"{home}/bin/hadoop" if home else "", "hadoop"]
    for one in tried:
        if one and (found := shutil.which(os.path.expanduser(one))):
            return [found, *options]
        if one and one == tried[0]:
            break
    raise EngineError(
        f"{tried[0] or 'hadoop'}: there is no such program here, and jobs are submitted by it",
        hint="Let HADOOP_HOME name Hadoop's folder, or `[hadoop] command` the program.",
    )


def streaming_jar(named: str = "") -> str:
    """The jar of Hadoop Streaming: the one that a job names, else the configured one. Raises JobRefused when there is none."""
    named = named or _text("streaming_jar")
    if named:
        return os.path.expanduser(named)
    for folder in _tools():
        found = sorted(folder.glob("hadoop-streaming-*.jar"))
        if found:
            return str(found[-1])
    raise JobRefused(
        "there is no hadoop-streaming-*.jar in share/hadoop/tools/lib of Hadoop's folder",
        hint="Let HADOOP_HOME name Hadoop's folder, or `[hadoop] streaming_jar` the file.",
    )


def python() -> str:
    """The Python of the nodes."""
    return _text("python") or "python3"


def user() -> str:
    """Whom the servers are told that we are."""
    import getpass

    return os.environ.get("HADOOP_USER_NAME") or getpass.getuser()


def _tools() -> list[Path]:
    home = os.environ.get("HADOOP_HOME")
    homes = [Path(home)] if home else []
    found = shutil.which("hadoop")
    if found:
        homes.append(Path(os.path.realpath(found)).parent.parent)
    return [one / "share" / "hadoop" / "tools" / "lib" for one in homes]


def _folder() -> str:
    home = os.environ.get("HADOOP_HOME")
    return os.environ.get("HADOOP_CONF_DIR") or (f"{home}/etc/hadoop" if home else "")


def _text(key: str) -> str:
    return str(setting("hadoop", key) or "")


def _url(address: str, port: int, scheme: str = "http") -> str:
    """The address of a server, with scheme and port.

    >>> _url("node7", 8088), _url("https://node7:8090/", 8088)
    ('http://node7:8088', 'https://node7:8090')
    """
    mark, rest = (address.partition("://")[0], address.partition("://")[2]) if "://" in address else (scheme, address)
    rest = rest.rstrip("/")
    return f"{mark}://{rest}" if ":" in rest else f"{mark}://{rest}:{port}"
