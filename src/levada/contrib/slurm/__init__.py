"""Slurm as an engine: ``engine = "slurm"``, or ``slurm://CLUSTER`` for one of several clusters.

Spoken to by its own commands (sbatch, squeue, sacct, scancel), so that what a site has set up for its people holds for
tasks, too. Each job has a folder under ``[slurm] folder``, which the hosts of workers and the nodes of the cluster share.
"""

from __future__ import annotations

from .engine import SlurmEngine

__all__ = ["SlurmEngine"]
