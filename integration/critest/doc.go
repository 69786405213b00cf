// Command critest runs the conformance tests of CRI on a private node, against one
// runtime handler: Blazar's, or containerd's own as the yardstick.
//
//	go run ./integration/critest [-handler NAME] [-focus REGEXP] [-skipped] [-report FILE]
//
// Everything runs in network and IPC namespaces of its own, because the specs use
// fixed ports of the host and leave shared memory behind. The images that they name
// come from a registry on loopback, to which containerd is sent for every host.
//
// A spec is left out only by a line of skip.txt (skip-wasm.txt for wasm pods), which
// says why. A line that names no spec is an error.
package main
