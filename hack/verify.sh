#!/usr/bin/env bash
# Checks that what is generated is current, that every go.mod is tidy, and that the code is clean. Changes nothing in the
# work tree, and does not care whether it is committed. All checks run, then it says which failed.
set -uo pipefail
cd "$(dirname "$0")/.."
tool() { go tool -modfile=hack/tools/go.mod "$@"; }
lint() { go tool -modfile=hack/tools/lint/go.mod golangci-lint-kube-api-linter "$@"; }

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# same GENERATED COMMITTED says how the committed files differ from what the code gives now.
same() {
	diff -ru --label "$2 (committed)" --label "$2 (generated now)" "$2" "$1" || { echo "run: make generate manifests docs"; return 1; }
}

deepcopies() {
	tool controller-gen object:headerFile=hack/boilerplate.go.txt paths=./api/... output:object:dir="$scratch/object" &&
		same "$scratch/object/zz_generated.deepcopy.go" api/v1alpha1/zz_generated.deepcopy.go
}

crds() {
	tool controller-gen crd paths=./api/... output:crd:dir="$scratch/crd" && same "$scratch/crd" config/crd/bases
}

rbac() {
	tool controller-gen rbac:roleName=manager-role paths=./controllers/... output:rbac:dir="$scratch/rbac" &&
		same "$scratch/rbac/role.yaml" config/rbac/role.yaml
}

manifests() {
	local dir status=0
	for dir in config/default config/samples config/rules config/inject; do
		tool kustomize build "$dir" >"$scratch/manifests.yaml" || status=1
	done
	return $status
}

docs() {
	go run ./hack/plugindocs >"$scratch/kubectl-runtag.md" && same "$scratch/kubectl-runtag.md" docs/kubectl-runtag.md
}

tidy() {
	local mod status=0
	while read -r mod; do
		(cd "$(dirname "$mod")" && go mod tidy -diff) || { echo "$mod is not tidy; run: make tidy"; status=1; }
	done < <(find . -name go.mod)
	return $status
}

# Files that people write stay short enough to be read in one go.
sizes() {
	git ls-files --cached --others --exclude-standard -- '*.go' '*.py' '*.sh' ':!*zz_generated*' | while read -r file; do
		[ ! -f "$file" ] || awk -v file="$file" 'END { if (NR > 450) { print file ": " NR " lines; split it (400 is the aim)"; exit 1 } }' "$file" || exit 1
	done
}

# The repository stands alone: it refers to nothing beside it and sends nobody to a particular package index.
words() {
	# The brackets keep this line from finding itself.
	! git grep --untracked -nE '[.][.]/shared|--(extra-)?index[-]url' -- .
}

failed=()
check() {
	local began=$SECONDS name=$1
	shift
	if "$@"; then
		echo "ok    $name ($((SECONDS - began)) s)"
	else
		echo "FAIL  $name ($((SECONDS - began)) s)"
		failed+=("$name")
	fi
}

check "deep copies are current" deepcopies
check "CRDs are current" crds
check "RBAC is current" rbac
check "manifests build" manifests
check "pages about the plugin are current" docs
check "go.mod files are tidy" tidy
check "formatting and lint" lint run
check "API conventions" lint run --config=.golangci-kal.yml ./api/...
check "file sizes" sizes
check "stands alone" words

if [ ${#failed[@]} -gt 0 ]; then
	printf 'verify failed: %s\n' "${failed[@]}"
	exit 1
fi
echo "verify passed"
