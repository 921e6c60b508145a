"""Training scripts with the real wandb SDK, and people with its public API."""
import wandb
from worker import serve

api = wandb.Api()
training = {}


def start(project, run=None, name=None, tags=None, resume=None, host=None):
    """A script that begins to train; it goes on until finish. Without a host, it says that of its environment."""
    begun = wandb.init(
        entity="acme", project=project, id=run, name=name, tags=tags, resume=resume, reinit="create_new",
        settings=wandb.Settings(
            silent=True, console="off", disable_git=True, disable_code=True, x_disable_stats=True, **({"host": host} if host else {})
        ),
    )
    begun.log({"loss": 1.0})
    training[project, begun.id] = begun
    return begun.id


def finish(project, run):
    training.pop((project, run)).finish()


def add(project, run, tags):
    """run.tags += (…), as in the middle of a script. The SDK sends its whole list some seconds later."""
    training[project, run].tags += tuple(tags)


def log_loss(project, run, loss):
    """A step of a training loop that tags its run once the loss is low."""
    trained = training[project, run]
    trained.log({"loss": loss})
    if loss < 0.05 and "release_candidate" not in trained.tags:
        trained.tags += ("release_candidate",)


def fetch(project, run):
    api.flush()
    return api.run(f"acme/{project}/{run}")


def tags(project, run):
    return list(fetch(project, run).tags)


def append(project, run, tags):
    fetched = fetch(project, run)
    for tag in tags:
        fetched.tags.append(tag)
    fetched.update()


def delete(project, run):
    fetch(project, run).delete()


serve([start, finish, add, log_loss, tags, append, delete])
