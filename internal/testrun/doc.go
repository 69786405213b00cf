// Command testrun runs the tests of the module and ends with their number.
//
//	testrun [-part unit] [-part wasmedge] [-part integration] [-part v2guest] [go test arguments]
//
// It runs `go test -json` for each part, prints a line for each package, the whole
// output of each test that failed, and as the last line
//
//	N passed, N failed, N skipped
//
// counted from the tests that were run (a test with subtests counts as its
// subtests). A package that does not build or whose process dies counts as failed.
package main
