// Package integration tests Blazar as its users meet it: pods that crictl runs on a
// real containerd with blazar serve beside it, on a private node (internal/node).
//
// The tests need root and the programs that `make node` builds. One node serves the
// whole package; a test that restarts its daemons is not parallel, one that only
// runs pods is.
package integration
