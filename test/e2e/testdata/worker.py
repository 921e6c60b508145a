"""What both workers share: one JSON object a line on stdin, {"do": name, "n": number, ...}, and one a line in answer.

A worker lives as long as the tests do, so that its training runs stay alive while a test acts on them.
"""
import json
import os
import sys
import traceback

# Whatever else prints to stdout must not get between the answers.
answers = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)


def serve(operations):
    """Answers requests until stdin ends. An operation gets the request's fields as keyword arguments."""
    by_name = {operation.__name__: operation for operation in operations}
    for line in sys.stdin:
        request = json.loads(line)
        number = request.pop("n")
        try:
            answer = {"value": by_name[request.pop("do")](**request)}
        except Exception:
            answer = {"error": traceback.format_exc()}
        answers.write(json.dumps(answer | {"n": number}) + "\n")
        answers.flush()
