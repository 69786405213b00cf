package wasitestsuite

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// Tarball is where the suite is looked for when WASI_TESTSUITE does not name it:
// beside the repository.
const Tarball = "shared/data/wasi-testsuite-p1.tar.gz"

// Size is how many cases of preview 1 the suite has.
const Size = 72

// Find finds the suite's directory: what WASI_TESTSUITE names, or else Tarball beside
// the repository, whose root is given. An archive is unpacked into the existing
// directory scratch. It is "" when there is no suite.
func Find(repository, scratch string) (string, error) {
	where := os.Getenv("WASI_TESTSUITE")
	if where == "" {
		where = filepath.Join(repository, "..", Tarball)
		if _, err := os.Stat(where); errors.Is(err, fs.ErrNotExist) {
			return "", nil
		}
	}
	info, err := os.Stat(where)
	if err != nil || info.IsDir() {
		return where, err
	}
	return scratch, Unpack(where, scratch)
}
