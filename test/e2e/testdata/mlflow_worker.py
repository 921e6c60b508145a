"""Training scripts and people with the real MLflow client."""
from mlflow import MlflowClient
from worker import serve

client = MlflowClient()


def experiment(name):
    return client.create_experiment(name)


def start(project, name=None, tags=None):
    """A script that begins to train; it goes on until finish."""
    found = client.get_experiment_by_name(project)
    run = client.create_run(found.experiment_id, run_name=name, tags=tags).info.run_id
    client.log_metric(run, "loss", 1.0)
    return run


def start_run(tags=None):
    """A script that leaves all to mlflow.start_run() and to its environment."""
    import mlflow

    run = mlflow.start_run(tags=tags).info.run_id
    mlflow.log_metric("loss", 1.0)
    return run


def log_loss(run, loss):
    """A step of a training loop that tags its run once the loss is low."""
    client.log_metric(run, "loss", loss)
    if loss < 0.05:
        client.set_tag(run, "release_candidate", "true")


def finish(run):
    client.set_terminated(run)


def tags(run):
    return client.get_run(run).data.tags


def set_tags(run, tags):
    for key, value in tags.items():
        client.set_tag(run, key, value)


def delete_tags(run, keys):
    for key in keys:
        client.delete_tag(run, key)


def delete(run):
    client.delete_run(run)


def restore(run):
    client.restore_run(run)


serve([experiment, start, start_run, log_loss, finish, tags, set_tags, delete_tags, delete, restore])
