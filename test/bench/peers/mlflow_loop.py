"""Sets a tag on runs as people do with MLflow's client, one run after the other.

    python mlflow_loop.py EXPERIMENT-ID TAG COUNT

Prints the seconds that it took; the imports and the list of the runs are not in them.
"""

import sys
import time

from mlflow import MlflowClient

experiment, tag, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
client = MlflowClient()
runs = client.search_runs([experiment], max_results=count)
began = time.monotonic()
for run in runs:
    client.set_tag(run.info.run_id, tag, "true")
print(time.monotonic() - began)
