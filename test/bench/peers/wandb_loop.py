"""Adds a tag to the first runs of a project as people do with W&B's public API, one run after the other.

    python wandb_loop.py ENTITY/PROJECT TAG COUNT

Prints the seconds that it took; the imports are not in them.
"""

import itertools
import sys
import time

import wandb

path, tag, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
began = time.monotonic()
for run in itertools.islice(wandb.Api().runs(path), count):
    run.tags.append(tag)
    run.update()
print(time.monotonic() - began)
