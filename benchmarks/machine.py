"""What a benchmark says of the machine that it ran on."""

from __future__ import annotations

import datetime
import os
import platform

import numpy as np
import torch

from clipwright.evaluation.matrix_peak import processor_name


def describe() -> str:
    """Processor, cores, versions and date, as lines of Markdown."""
    versions = f"Python {platform.python_version()}, torch {torch.__version__}, NumPy {np.__version__}"
    return f"- {processor_name()}, {os.cpu_count()} cores\n- {versions}\n- {datetime.date.today().isoformat()}"
