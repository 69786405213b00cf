// Package state keeps what the daemon must know after it was killed: below one
// directory one directory per sandbox, named by its id, with one record in it. The
// rest of a sandbox's directory belongs to its kind.
//
// A record is replaced as a whole: written to a temporary file, synced, renamed, and
// the directory synced. On the tmpfs that /run is, a write costs 35 µs, of which
// syncing is next to nothing; on a disk's ext4 the two syncs make it 2.5 ms.
package state
