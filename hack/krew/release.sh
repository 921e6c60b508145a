#!/usr/bin/env bash
# release.sh VERSION DIR builds kubectl runtag for all platforms, packs it, and writes the manifest for krew, all to DIR.
# The same source gives the same archives. To try one out:
#   kubectl krew install --manifest=DIR/runtag.yaml --archive=DIR/kubectl-runtag_linux_amd64.tar.gz
set -euo pipefail
version=${1:?a version, such as v0.1.0} dir=${2:?a folder for the archives}
case $version in v[0-9]*.[0-9]*.[0-9]*) ;; *) echo "$version is not a version such as v0.1.0" >&2; exit 2 ;; esac
mkdir -p "$dir"
dir=$(cd "$dir" && pwd)
cd "$(dirname "$0")/../.."
# PLATFORMS of another value builds fewer.
read -ra platforms <<<"${PLATFORMS:-linux/amd64 linux/arm64 darwin/amd64 darwin/arm64 windows/amd64}"

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
sed "s/@VERSION@/$version/" hack/krew/runtag.yaml.in >"$scratch/runtag.yaml"
for platform in "${platforms[@]}"; do
	os=${platform%/*} arch=${platform#*/} program=kubectl-runtag
	[ "$os" != windows ] || program=kubectl-runtag.exe
	mkdir -p "$scratch/$os-$arch"
	CGO_ENABLED=0 GOOS=$os GOARCH=$arch go build -trimpath -ldflags "-s -w -X main.version=$version" -o "$scratch/$os-$arch/$program" ./cmd/kubectl-runtag
	cp LICENSE "$scratch/$os-$arch/"
	archive=kubectl-runtag_${os}_$arch.tar.gz
	tar -C "$scratch/$os-$arch" --sort=name --owner=0 --group=0 --numeric-owner --mtime=@0 --mode=go=rX,u+rw -cf - LICENSE "$program" | gzip -9n >"$dir/$archive"
	cat >>"$scratch/runtag.yaml" <<EOF
    - selector:
        matchLabels: {os: $os, arch: $arch}
      uri: https://github.com/runtag/runtag/releases/download/$version/$archive
      sha256: $(sha256sum "$dir/$archive" | cut -d' ' -f1)
      bin: $program
EOF
done
mv "$scratch/runtag.yaml" "$dir/runtag.yaml"
echo "$dir/runtag.yaml"
