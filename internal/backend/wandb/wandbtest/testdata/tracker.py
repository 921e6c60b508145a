"""What the scripts share: the tracker's control endpoints, and a person who edits tags on a run's page."""
import json
import os
import urllib.request

URL = os.environ["WANDB_BASE_URL"]
ENTITY, PROJECT = "acme", "capsules"


def control(method, path, body=None):
    request = urllib.request.Request(URL + "/_runtag/" + path, method=method)
    if body is not None:
        request.data = json.dumps(body).encode()
        request.add_header("Content-Type", "application/json")
    with urllib.request.urlopen(request, timeout=10) as answer:
        text = answer.read()
        return json.loads(text) if text else None


def look(run_id):
    return control("GET", f"runs?entity={ENTITY}&project={PROJECT}&id={run_id}")


def person(run_id, add=(), remove=()):
    edit = {"entity": ENTITY, "project": PROJECT, "id": run_id, "add": list(add), "remove": list(remove)}
    return control("PUT", "tags", edit)


def same(got, want, what):
    assert got == want, f"{what}: got {got!r}, want {want!r}"
