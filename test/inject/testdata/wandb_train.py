"""Trains with the real wandb SDK, which takes everything but the run's id from the environment."""
import wandb

run = wandb.init(id="r1", settings=wandb.Settings(console="off", disable_git=True, disable_code=True, x_disable_stats=True))
run.log({"loss": 0.5})
run.finish()
