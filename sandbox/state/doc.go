// Package state keeps what the daemon must know after it was killed: below one
// directory one directory per sandbox, named by its id, with one record in it. The
// rest of a sandbox's directory belongs to its kind.
//
// A record is replaced as a whole: written to a temporary file and renamed, with the file
// and the directory synced where the directory outlives the machine: on a disk's ext4 the
// two syncs make it 2.5 ms. On the tmpfs that /run is a write costs 20 µs.
package state
