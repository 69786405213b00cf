// Package linuximage makes images of ordinary Linux programs for tests: a busybox, and
// web servers in the place of those that the conformance tests of CRI name. What is in
// them comes from the distribution's package busybox-static and from tools/linux.
package linuximage
