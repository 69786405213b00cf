// Package difftest checks that engines cannot be told apart by a guest: the same
// module gives the same bytes on stdout and stderr, the same exit code, the same
// kind of trap and the same files on all of them.
//
// Generate writes programs by chance, always the same ones for the same seed. What
// WebAssembly itself leaves open is kept out of them: the sign and payload of a NaN
// that arithmetic makes (every such result is made canonical), and how deep calls may
// nest (nothing is written on the way down).
package difftest
