#!/usr/bin/env bash
# Runs each fuzz target of the module for the time given (60s by default), one after the other.
set -euo pipefail
cd "$(dirname "$0")/.."
time=${1:-60s}
while IFS=: read -r file func; do
	echo "== $func in $(dirname "$file")"
	go test -run='^$' -fuzz="^$func\$" -fuzztime="$time" "./$(dirname "$file")"
done < <(grep -rEo --include='*_test.go' '^func Fuzz[A-Za-z0-9_]*' . | sed 's/func //; s|^\./||')
