// Package podspec turns what a pod says about itself, annotations above all, into
// choices: the engine, the listeners, the module to run. Everything it reads is
// hostile input; every refusal names the annotation and what would be accepted.
package podspec
