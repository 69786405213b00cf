#!/bin/sh
# Generates taskapi.pb.go. Needs protoc (Debian: protobuf-compiler) and Go.
set -eu
cd "$(dirname "$0")"
bin=$(mktemp -d)
trap 'rm -rf "$bin"' EXIT
GOBIN=$bin go install google.golang.org/protobuf/cmd/protoc-gen-go@v1.36.12
root=$(cd ../../.. && pwd)
PATH=$bin:$PATH protoc -I "$root" -I /usr/include \
	--go_out="$root" --go_opt=module=blazar sandbox/task/taskapi/taskapi.proto
