"""A training script as there are many: train.py RUN_NAME. It trains until SIGTERM."""

import pathlib
import signal
import sys
import time

import mlflow

signal.signal(signal.SIGTERM, lambda *_: sys.exit("told to stop"))
mlflow.set_experiment("capsules")
with mlflow.start_run(run_name=sys.argv[1], tags={"first-try": "true", "team": "nlp"}):
    tagged = False
    while True:
        loss = float(pathlib.Path("loss").read_text())
        mlflow.log_metric("loss", loss)
        if loss < 0.05 and not tagged:
            mlflow.set_tag("release_candidate", "true")
            tagged = True
        time.sleep(0.5)
