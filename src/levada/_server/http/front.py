"""The page at ``/``: the same for everybody, and it tells nothing of this server."""

FRONT = b"""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>Levada</title>
<h1>Levada</h1>
<p>A scheduler for many workers. It has no pages for people yet: <code>levada status</code>, <code>levada tasks</code> and
<code>levada why</code> tell how it and its tasks stand; <code>levada --help</code> lists all commands.</p>
<ul>
<li><a href="/readyz">/readyz</a>: whether it takes commands (<a href="/livez">/livez</a>: whether it lives)</li>
</ul>
<p>For those who were let in:</p>
<ul>
<li><a href="/v1/status">/v1/status</a>: how it stands, as JSON</li>
<li><a href="/v1/tasks?status=failed">/v1/tasks?status=failed</a>: what has failed</li>
<li><a href="/metrics">/metrics</a>: figures for Prometheus</li>
<li><a href="/openapi.json">/openapi.json</a>: all that can be called</li>
</ul>
</html>
"""
