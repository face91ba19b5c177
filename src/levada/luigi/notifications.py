"""Luigi's ``luigi.notifications``: e-mails about failures, as the sections ``[email]`` and ``[smtp]`` of luigi.cfg ask for.

A Levada server tells failures better: by cause, once, over any channel (its section ``[alerts]``).
"""

from __future__ import annotations

import logging
import socket
import sys
from collections.abc import Iterable, Sequence
from html import escape
from importlib import import_module
from typing import Any, ClassVar

from ..params import BoolParameter, ChoiceParameter, FloatParameter, IntParameter, Parameter
from ..task import Config, Task

logger = logging.getLogger("luigi-interface")

DEFAULT_CLIENT_EMAIL = f"luigi-client@{socket.gethostname()}"
DEBUG = False
"""An old switch of tests; nothing depends on it any more, in Luigi too."""

SNS_SUBJECT = 100  # characters that SNS takes
NOBODY: Any = None  # a default that makes None a value


def _once(section: str, name: str) -> dict[str, str]:
    """Where luigi.cfg had the value in older days."""
    return {"section": section, "name": name}


class email(Config):
    """The section ``[email]``."""

    force_send = BoolParameter(default=False, description="send from a terminal, too")
    format: Any = ChoiceParameter(
        default="plain",
        choices=("plain", "html", "none"),
        config_path=_once("core", "email-type"),
        description="layout of e-mails; none: no e-mails",
    )
    method: Any = ChoiceParameter(
        default="smtp", choices=("smtp", "sendgrid", "ses", "sns"), config_path=_once("email", "type"), description="who carries them"
    )
    prefix = Parameter(default="", config_path=_once("core", "email-prefix"), description="what subjects begin with")
    receiver = Parameter(default="", config_path=_once("core", "error-email"), description="who is told of failures")
    traceback_max_length = IntParameter(default=5000, description="characters of a traceback")
    sender = Parameter(default=DEFAULT_CLIENT_EMAIL, config_path=_once("core", "email-sender"), description="who they come from")


class smtp(Config):
    """The section ``[smtp]``."""

    host = Parameter(default="localhost", config_path=_once("core", "smtp_host"), description="the mail server")
    local_hostname: Any = Parameter(
        default=NOBODY, config_path=_once("core", "smtp_local_hostname"), description="what this host calls itself"
    )
    no_tls = BoolParameter(default=False, config_path=_once("core", "smtp_without_tls"), description="do not encrypt")
    password: Any = Parameter(
        default=NOBODY, config_path=_once("core", "smtp_password"), description="password at the mail server", secret=True
    )
    port = IntParameter(default=0, config_path=_once("core", "smtp_port"), description="its port; 0: the usual one")
    ssl = BoolParameter(default=False, config_path=_once("core", "smtp_ssl"), description="encrypted from the first byte")
    timeout: ClassVar[Any] = FloatParameter(default=10.0, config_path=_once("core", "smtp_timeout"), description="seconds to wait for it")
    username: Any = Parameter(default=NOBODY, config_path=_once("core", "smtp_login"), description="name at the mail server")


class sendgrid(Config):
    """The section ``[sendgrid]``."""

    apikey = Parameter(config_path=_once("email", "SENGRID_API_KEY"), description="the key of SendGrid", secret=True)


class TestNotificationsTask(Task):
    """Fails, so that a set-up of e-mails can be seen to work."""

    raise_in_complete = BoolParameter(description="fail in complete(), not in run()")
    __test__ = False

    def run(self) -> None:
        """Fail."""
        raise ValueError("a test of notifications")

    def complete(self) -> bool:
        """False, or fail."""
        if self.raise_in_complete:
            raise ValueError("a test of notifications")
        return False


# -- sending -----------------------------------------------------------------------------------


def send_error_email(subject: str, message: str, additional_recipients: Any = None) -> None:
    """Tell the configured receiver, and these, of a failure."""
    send_email(subject, message, email().sender, _email_recipients(additional_recipients))


def send_email(subject: str, message: str, sender: str, recipients: Iterable[str], images_png: Any = None, image_png: Any = None) -> None:
    """Send one e-mail in the configured way; nothing where nobody is to have it, or it is switched off."""
    addresses = [address.strip() for each in recipients or () if each for address in each.split(",") if address.strip()]
    if not addresses:
        return
    if reason := _email_disabled_reason():
        logger.info("Not sending email to %r because %s", addresses, reason)
        return
    logger.info("Sending email to %r", addresses)
    carriers = {"ses": send_email_ses, "sendgrid": send_email_sendgrid, "smtp": send_email_smtp, "sns": send_email_sns}
    carriers[email().method](sender, _prefix(subject), message, addresses, images_png or image_png)


def _email_disabled_reason() -> str | None:
    if email().format == "none":
        return "email format is 'none'"
    return "running from a tty" if sys.stdout.isatty() and not email().force_send else None


def _email_recipients(additional_recipients: Any = None) -> list[str]:
    more: list[str] = [additional_recipients] if isinstance(additional_recipients, str) else list(additional_recipients or ())
    return [email().receiver, *more] if email().receiver else more


def _prefix(subject: str) -> str:
    return f"{email().prefix} {subject}" if email().prefix else subject


def send_email_smtp(sender: str, subject: str, message: str, recipients: Sequence[str], images_png: Any = None) -> None:
    """Send by the mail server of ``[smtp]``; one that cannot be reached is logged."""
    import smtplib

    config = smtp()
    place: dict[str, Any] = {"host": config.host, "port": config.port, "local_hostname": config.local_hostname}
    if config.timeout:
        place["timeout"] = config.timeout
    try:
        server = smtplib.SMTP_SSL(**place) if config.ssl else smtplib.SMTP(**place)
        server.ehlo_or_helo_if_needed()
        if server.has_extn("starttls") and not config.no_tls:
            server.starttls()
        if config.username and config.password:
            server.login(config.username, config.password)
        server.sendmail(sender, recipients, generate_email(sender, subject, message, recipients, images_png=images_png).as_string())
    except OSError as fault:
        logger.error("Not able to connect to smtp server: %s", fault)


def send_email_ses(sender: str, subject: str, message: str, recipients: Sequence[str], images_png: Any = None) -> None:
    """Send by Amazon SES, with the credentials that boto3 finds."""
    boto3 = import_module("boto3")
    whole = generate_email(sender, subject, message, recipients, images_png=images_png).as_string()
    answer = boto3.client("ses").send_raw_email(Source=sender, Destinations=recipients, RawMessage={"Data": whole})
    logger.debug("Message sent to SES: %s", answer["MessageId"])


def send_email_sns(sender: str, subject: str, message: str, topic_ARN: Sequence[str], images_png: Any = None) -> None:
    """Publish to a topic of Amazon SNS, whose ARN is the first recipient."""
    boto3 = import_module("boto3")
    if len(subject) > SNS_SUBJECT:
        half = (SNS_SUBJECT - 3) // 2
        subject = f"{subject[:half]}...{subject[-half:]}"
    answer = boto3.resource("sns").Topic(topic_ARN[0]).publish(Subject=subject, Message=message)
    logger.debug("Message sent to SNS: %s", answer["MessageId"])


def send_email_sendgrid(sender: str, subject: str, message: str, recipients: Sequence[str], images_png: Any = None) -> None:
    """Send by SendGrid."""
    library = import_module("sendgrid")
    mail = library.Mail(from_email=sender, to_emails=recipients, subject=subject)
    mail.add_content(message, "text/html" if email().format == "html" else "text/plain")
    for path in _images(images_png):
        with open(path, "rb") as image:
            mail.add_attachment(image.read(), filename=path.rpartition("/")[2])
    library.SendGridAPIClient(sendgrid().apikey).send(mail)


def _images(given: Any) -> list[str]:
    return [] if given is None else list(given) if isinstance(given, (list, tuple)) else [given]


# -- words -------------------------------------------------------------------------------------


def generate_email(
    sender: str, subject: str, message: str, recipients: Sequence[str], images_png: Any = None, image_png: Any = None
) -> Any:
    """The e-mail with its headers. images_png: paths of pictures that go with it."""
    from email.mime.image import MIMEImage
    from email.mime.multipart import MIMEMultipart
    from email.mime.text import MIMEText

    whole = MIMEMultipart("related")
    whole.attach(MIMEText(message, email().format, "utf-8"))
    for path in _images(images_png or image_png):
        with open(path, "rb") as file:
            image = MIMEImage(file.read(), "png")
        image.add_header("Content-Disposition", "attachment", filename=path.rpartition("/")[2])
        whole.attach(image)
    whole["Subject"], whole["From"], whole["To"] = subject, sender, ",".join(recipients)
    return whole


def wrap_traceback(traceback: str) -> str:
    """A traceback as the configured layout shows it: coloured in HTML, where pygments is there."""
    if email().format != "html":
        return traceback
    try:
        pygments, formatters, lexers = map(import_module, ("pygments", "pygments.formatters", "pygments.lexers"))
    except ImportError:
        return f"<pre>{escape(traceback, quote=False)}</pre>"
    return str(pygments.highlight(traceback, lexers.PythonTracebackLexer(), formatters.HtmlFormatter(noclasses=True)))


def format_task_error(headline: str, task: Any, command: str, formatted_exception: str | None = None) -> str:
    """The body of an e-mail about a task that failed."""
    trace, most = formatted_exception or "", email().traceback_max_length
    if len(trace) > most:
        trace = f"{trace[:most]}...Traceback exceeds max length and has been truncated."
    trace, params = wrap_traceback(trace) if trace else "", task.to_str_params()
    if email().format == "html":
        rows = "".join(f"<tr><th>{name}</th><td>{escape(text, quote=False)}</td></tr>\n" for name, text in params.items())
        return (
            f"<html>\n<body>\n<h2>{escape(headline, quote=False)}</h2>\n\n"
            f"<table>\n<tr><th>name</th><td>{task.task_family}</td></tr>\n{rows}</table>\n\n"
            f"<h2>Command line</h2>\n<pre>\n{escape(command, quote=False)}\n</pre>\n\n<h2>Traceback</h2>\n{trace}\n</body>\n</html>\n"
        )
    width = max(map(len, params), default=0) + 2
    lines = "\n".join(f"  {name + ': ':<{width}}{text}" for name, text in params.items())
    return f"{headline}\n\nName: {task.task_family}\n\nParameters:\n{lines}\n\nCommand line:\n  {command}\n\n{trace}\n"
