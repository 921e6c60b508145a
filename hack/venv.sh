#!/bin/sh
# Prints the path of a Python that has the real trackers' clients and the MLflow server (hack/requirements.txt, with
# every version pinned by hack/requirements.lock). The virtual environment is made on first use, outside the work tree,
# and named after the pins, so that a change of them makes another one. Progress goes to stderr.
#
#   python=$(hack/venv.sh)
#
# PYTHON names the interpreter to start from; python3 by default.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
base=${PYTHON:-python3}
say() { printf 'venv: %s\n' "$*" >&2; }

command -v "$base" >/dev/null || { say "$base is not there: install Python 3 with venv and pip, or set PYTHON"; exit 1; }

key=$("$base" - "$here/requirements.txt" "$here/requirements.lock" <<'EOF'
import hashlib, platform, sys
digest = hashlib.sha256(platform.python_version().encode())
for path in sys.argv[1:]:
    digest.update(open(path, "rb").read())
print(digest.hexdigest()[:16])
EOF
)
root=${XDG_CACHE_HOME:-$HOME/.cache}/runtag/venv
venv=$root/$key

# The marker is written last: a venv without it was left half-built and is made again.
ready() { [ -e "$venv/.ready" ] && [ -x "$venv/bin/python" ]; }

if ! ready; then
	mkdir -p "$root"
	exec 9>"$root/$key.lock"
	# The lock belongs to the open file, not to the process that takes it: it is held until this shell ends.
	lock='import fcntl, sys; fcntl.flock(9, fcntl.LOCK_EX | (fcntl.LOCK_NB if sys.argv[1:] else 0))'
	"$base" -c "$lock" try 2>/dev/null || {
		say "waiting for another process that is making $venv"
		"$base" -c "$lock"
	}
	if ! ready; then
		began=$(date +%s)
		say "making $venv (about 0.9 GB, once; about a minute)"
		rm -rf "$venv"
		"$base" -m venv "$venv" >&2 || { say "could not make it: is the venv module installed (python3-venv)?"; exit 1; }
		say "installing $(grep -c == "$here/requirements.lock") packages: $(grep == "$here/requirements.txt" | tr '\n' ' ')"
		"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-input \
			-r "$here/requirements.txt" -c "$here/requirements.lock" >&2 ||
			{ say "pip failed, see above; nothing is kept, run this again once it is mended"; rm -rf "$venv"; exit 1; }
		"$venv/bin/python" -c 'import mlflow, wandb' >&2 # also compiles them, so that the first use is not the slow one
		: >"$venv/.ready"
		say "ready after $(($(date +%s) - began)) s"
	fi
fi
printf '%s\n' "$venv/bin/python"
