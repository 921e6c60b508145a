"""The SDK's public API over runs that are there already (see TestPublicAPI)."""
import os
import tempfile

import wandb
from tracker import ENTITY, PROJECT, look, person, same

PATH = f"{ENTITY}/{PROJECT}"
api = wandb.Api()


def ids(filters=None, order="+created_at", per_page=50):
    return [run.id for run in api.runs(PATH, filters=filters, order=order, per_page=per_page)]


def run(run_id):
    api.flush()
    return api.run(f"{PATH}/{run_id}")


everything = [f"run{i:03d}" for i in range(130)]
same(ids(), everything, "all runs, in pages of 50")
same(ids(per_page=7), everything, "all runs, in pages of 7")
same(ids(order="-created_at"), everything[::-1], "newest first")
same(ids(order="-summary_metrics.loss", per_page=40), everything, "by a metric")
same(ids(order="-config.lr.value")[:2], ["run129", "run128"], "by a configuration value")
same(len(api.runs(PATH)), 130, "len")

for want, filters in [
    (["run007"], {"tags": "odd7"}),
    (["run007", "run009"], {"tags": {"$in": ["odd7", "odd9"]}}),
    (["run007"], {"tags": {"$all": ["odd7", "every"]}}),
    (everything[1:], {"tags": {"$nin": ["first"]}}),
    (["run003"], {"name": {"$in": ["run003", "nothing"]}}),
    (["run004"], {"display_name": "number 4"}),
    (["run004"], {"displayName": {"$regex": "^number 4$"}}),
    (everything[:2], {"$or": [{"name": "run000"}, {"name": "run001"}]}),
    (everything[2:], {"$nor": [{"name": "run000"}, {"name": "run001"}]}),
    (["run129"], {"$and": [{"config.lr": {"$gte": 129}}, {"state": "finished"}]}),
    (["run128", "run129"], {"config.lr": {"$gt": 127}}),
    (["run000"], {"summary_metrics.loss": {"$gte": 0}}),
    (everything[120:], {"createdAt": {"$gte": "2026-01-01T02:00:00Z"}}),
    (everything[:1], {"createdAt": {"$lt": "2026-01-01T00:01:00Z"}}),
    ([], {"config.unknown": {"$exists": True}}),
    ([], {"state": {"$ne": "finished"}}),
]:
    same(ids(filters), want, f"filters {filters}")

r = run("run005")
same((r.tags, r.state, r.name, r.config["lr"], r.summary["loss"]), (["every", "odd5"], "finished", "number 5", 5, -5), "a run")
same(r.created_at, "2026-01-01T00:05:00Z", "created_at")
r.tags.append("by-api")
r.update()
same(look("run005")["tags"], ["every", "odd5", "by-api"], "tags after update()")
r.tags = []
r.update()
same(look("run005")["tags"], [], "tags after update() with none")

stale = run("run006")
person("run006", add=["person"])
stale.notes = "only a note was changed"
stale.update()
same(look("run006")["tags"], ["every", "odd6"], "update() sends all that it read, old tags too")

r = run("run008")
r.tags.append("x" * 65)
try:
    r.update()
    raise AssertionError("a tag of 65 characters went through")
except wandb.errors.CommError as error:
    assert "must be between 1 and 64 characters" in str(error), error
same(look("run008")["tags"], ["every", "odd8"], "tags after a refused one")

with tempfile.TemporaryDirectory() as folder:
    source = os.path.join(folder, "notes.txt")
    with open(source, "w") as f:
        f.write("hello")
    run("run010").upload_file(source, root=folder)
    same([(f.name, f.size) for f in run("run010").files()], [("notes.txt", 5)], "files")
    with run("run010").file("notes.txt").download(root=os.path.join(folder, "down")) as f:
        same(f.read(), "hello", "a file's content")
    run("run010").file("notes.txt").delete()
    same(len(run("run010").files()), 0, "files after one was deleted")

made = api.create_run(run_id="made", project=PROJECT, entity=ENTITY)
same((made.id, look("made")["state"]), ("made", "running"), "a run made by the API")
made.update_state("failed")
same(look("made")["state"], "failed", "update_state")

before = run("run011").created_at
run("run011").delete()
assert "run011" not in ids()
for path in (f"{PATH}/run011", f"{PATH}/nothing", f"{ENTITY}/nothing/run000"):
    try:
        api.flush()
        api.run(path)
        raise AssertionError(f"{path} was found")
    except (ValueError, wandb.errors.CommError):
        pass
api.create_run(run_id="run011", project=PROJECT, entity=ENTITY)
assert run("run011").created_at != before

api.create_project("other", ENTITY)
same(sorted(p.name for p in api.projects(ENTITY)), [PROJECT, "other"], "projects")
same(api.viewer.username, "runtag", "viewer")
print("all good")
