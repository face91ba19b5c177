"""Jobs of AWS: ``batch://queue`` (AWS Batch) and ``ecs://cluster`` (Elastic Container Service), by name or ARN.

Credentials, region and endpoint are boto3's affair (``AWS_PROFILE``, ``AWS_REGION``, ``AWS_ENDPOINT_URL``, a role); the region of an ARN
goes before. boto3 is imported when the first engine is opened.
"""

from __future__ import annotations

from .tasks import BatchTask, ECSTask

__all__ = ["BatchTask", "ECSTask"]
