"""Training runs of the real SDK, one after another: what a tracker must be able to take."""
import glob
import os
import subprocess
import sys

import wandb
from tracker import ENTITY, PROJECT, look, person, same


def start(run_id, **kwargs):
    return wandb.init(entity=ENTITY, project=PROJECT, id=run_id, reinit="finish_previous", **kwargs)


def tags_config_log_summary_finish():
    with start("full", name="a run", tags=["base line", "b"], config={"lr": 0.1}, group="g", job_type="train", notes="n") as run:
        same(run.url, f"{os.environ['WANDB_BASE_URL']}/{ENTITY}/{PROJECT}/runs/full", "url")
        same(look("full")["tags"], ["base line", "b"], "tags at init")
        same(look("full")["state"], "running", "state during training")
        for step in range(3):
            run.log({"loss": 1 / (step + 1)})
        run.tags += ("release_candidate",)
        run.summary["best"] = 0.25


def no_tags():
    with start("bare") as run:
        run.log({"loss": 1})
        person("bare", add=["seen"])
        run.config["later"] = True  # sends the configuration alone


def whole_list_loses_what_a_person_added():
    with start("lost", tags=["a"]) as run:
        person("lost", add=["person"])
        run.tags += ("b",)


def fails():
    start("failed").finish(exit_code=3)


def preempted():
    run = start("preempted", tags=["p"])
    run.mark_preempting()
    run.finish(exit_code=1)


def resumes():
    start("full", resume="allow").finish()
    same(look("full")["tags"], ["base line", "b", "release_candidate"], "tags after a resume without tags")
    person("full", add=["person"])
    with start("full", resume="must") as run:
        same(run.tags, ("base line", "b", "release_candidate", "person"), "tags that a resumed run finds")
        same(run.resumed, True, "resumed")
        same(look("full")["state"], "running", "state of a run that was taken up again")
        run.log({"loss": 0})
    start("bare", resume="allow", tags=["replaced"]).finish()
    start("made", resume="allow", tags=["new"]).finish()
    for run_id, mode in (("missing", "must"), ("full", "never")):
        try:
            start(run_id, resume=mode)
        except wandb.errors.UsageError:
            continue
        raise AssertionError(f"resume={mode} of {run_id} went through")


def writer(label, primary, **kwargs):
    settings = wandb.Settings(mode="shared", x_label=label, x_primary=primary, x_update_finish_state=primary)
    return start("shared", settings=settings, **kwargs)


def shared():
    first = writer("rank0", True, tags=["s"])
    first.log({"a": 1})
    environment = {k: v for k, v in os.environ.items() if k != "WANDB_SERVICE"} | {"WANDB_HOST": "trainer-1"}
    subprocess.run([sys.executable, __file__, "second"], check=True, timeout=60, env=environment)
    same((look("shared")["state"], look("shared")["host"]), ("running", "trainer-1"), "a run that two processes write")
    first.finish()


def second_writer():
    with writer("rank1", False) as run:
        run.log({"b": 2})


def offline():
    start("offline", mode="offline", tags=["off", "line"]).finish()
    (folder,) = glob.glob(os.path.join(os.environ["WANDB_DIR"], "wandb", "offline-run-*-offline"))
    subprocess.run([sys.executable, "-m", "wandb", "sync", folder], check=True, timeout=60, stdout=sys.stderr)


if sys.argv[1:] == ["second"]:
    second_writer()
    sys.exit()
tags_config_log_summary_finish()
no_tags()
whole_list_loses_what_a_person_added()
fails()
preempted()
resumes()
shared()
offline()
print("all good")
