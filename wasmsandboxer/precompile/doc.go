// Package precompile compiles the modules of images before a pod asks for them:
// Compiler those of one image, by hand; Watcher those of every image that appears
// in containerd, at low priority.
//
// What it makes is what the pod's own start would make, with the same compiler and
// under the same key (package artifact), so that the first pod finds it. It is a
// convenience: whatever fails here is logged, and fails for the pod again, which has
// somebody to tell.
package precompile
