"""A training run of the real SDK that logs all kinds of values that a summary can hold."""
import math

import wandb
from tracker import ENTITY, PROJECT

with wandb.init(entity=ENTITY, project=PROJECT, id="metrics") as run:
    run.define_metric("best", summary="min")
    for step in range(3):
        run.log({
            "loss": 1 / (step + 1), "val/loss": 0.5, "a.b": 2, "eval": {"acc": step, "top.5": 9}, "best": 3 - step,
            "nan": math.nan, "up": math.inf, "down": -math.inf, "words": "0.5", "flag": True, "many": [1, 2],
        })
    run.summary["by hand"] = 7
    run.summary["nested"] = {"deep": {"er": 8}}
    run.summary["nan by hand"] = math.nan  # which the SDK leaves out
print("all good")
