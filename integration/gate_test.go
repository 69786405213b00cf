package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// gate stands before runc: it lets all calls through, but those that a test holds.
var gate struct{ dir, program string }

// gateScript calls runc. A call of COMMAND about the container that is named in the file
// COMMAND.before waits until that is gone, and then becomes runc; one about that in
// COMMAND.after waits when runc has done its work. Who waits writes its pid.
const gateScript = `#!/bin/sh
for a; do
	case $a in run|exec|delete) command=$a; break ;; esac
done
waits() {
	[ -n "$command" ] && [ -e "%[1]s/$command.$1" ] && read -r id <"%[1]s/$command.$1" || return 1
	case " $arguments " in *" $id "*) ;; *) return 1 ;; esac
	echo $$ >"%[1]s/$command.new" && mv "%[1]s/$command.new" "%[1]s/$command.pid"
	while [ -e "%[1]s/$command.$1" ]; do sleep 0.02; done
}
arguments=$*
waits before
if [ -e "%[1]s/$command.after" ]; then
	"%[2]s" "$@"
	status=$?
	waits after
	exit $status
fi
exec "%[2]s" "$@"
`

func makeGate(dir string) error {
	runc, err := filepath.Abs("../.cache/bin/runc")
	if err != nil {
		return err
	}
	gate.dir, gate.program = filepath.Join(dir, "gate"), filepath.Join(dir, "runc")
	if err := os.Mkdir(gate.dir, 0o755); err != nil {
		return err
	}
	return os.WriteFile(gate.program, fmt.Appendf(nil, gateScript, gate.dir, runc), 0o755)
}

// held is a call of runc that waits, or will.
type held struct{ file, pidFile string }

// hold holds the next call of command about a container, before or after its work.
func hold(t *testing.T, command, when, container string) held {
	t.Helper()
	h := held{file: filepath.Join(gate.dir, command+"."+when), pidFile: filepath.Join(gate.dir, command+".pid")}
	if err := os.WriteFile(h.file, []byte(container+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.release)
	return h
}

// pid waits until the call is held, and returns its pid.
func (h held) pid(t *testing.T) int {
	t.Helper()
	var pid int
	eventually(t, "runc is called", func() bool {
		b, err := os.ReadFile(h.pidFile)
		if err == nil {
			pid, err = strconv.Atoi(strings.TrimSpace(string(b)))
		}
		return err == nil
	})
	return pid
}

// release lets the call go on.
func (h held) release() {
	_ = os.Remove(h.pidFile) // it may not have come
	_ = os.Remove(h.file)    // once more does no harm
}

// soon is how long what was asked for takes to get to where it is held, where nothing
// says so.
const soon = 300 * time.Millisecond
