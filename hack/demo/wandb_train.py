"""A training script as there are many: train.py RUN_ID. It ends when it is killed."""

import pathlib
import sys
import time

import wandb

run = wandb.init(entity="acme", project="capsules", id=sys.argv[1], tags=["first-try"])
tagged = False
while True:
    loss = float(pathlib.Path("loss").read_text())
    run.log({"loss": loss})
    if loss < 0.05 and not tagged:
        run.tags += ("release_candidate",)
        tagged = True
    time.sleep(0.5)
