"""A training script as there are many: train.py RUN_ID. It trains until SIGTERM."""

import pathlib
import signal
import sys
import time

import wandb

signal.signal(signal.SIGTERM, lambda *_: sys.exit("told to stop"))
with wandb.init(entity="acme", project="capsules", id=sys.argv[1], tags=["first-try"]) as run:
    while True:
        loss = float(pathlib.Path("loss").read_text())
        run.log({"loss": loss})
        if loss < 0.05 and "release_candidate" not in run.tags:
            run.tags += ("release_candidate",)
        time.sleep(0.5)
