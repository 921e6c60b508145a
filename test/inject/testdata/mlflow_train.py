"""Makes runs with the real MLflow client: by start_run, one below another, and by autolog alone. Prints their ids at the end."""
import json

import mlflow
from sklearn.linear_model import LinearRegression

with mlflow.start_run() as run, mlflow.start_run(nested=True) as child:
    runs = {"start_run": run.info.run_id, "nested": child.info.run_id}

mlflow.autolog(log_models=False, silent=True)
LinearRegression().fit([[0.0], [1.0], [2.0]], [0.0, 1.0, 2.0])
runs["autolog"] = mlflow.last_active_run().info.run_id
print(json.dumps(runs))  # the client prints too, before this
