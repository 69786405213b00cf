//go:build race

package enginetest

// raceEnabled shortens what the race detector makes slow.
const raceEnabled = true
