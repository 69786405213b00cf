package wasmtask

import (
	"fmt"
	"strings"

	"blazar/engines"
)

// Exit codes of guests that did not exit by themselves.
const (
	statusTrap    = 134 // 128+SIGABRT, as a native program that aborts
	statusOOM     = 137 // 128+SIGKILL, as the kernel's own
	statusNoStart = 126 // found, but could not be run
)

// outcome is the exit code of a run and what a person should read about it.
func (p *process) outcome(e engines.Exit) (status uint32, lastWords string) {
	m := p.config.module
	switch {
	case e.Err != nil:
		return statusNoStart, fmt.Sprintf("blazar: %s could not be run: %v\n", m.Name, e.Err)
	case e.OOM:
		p.c.outOfMemory()
		return statusOOM, fmt.Sprintf("blazar: memory limit of %s exceeded: %s was ended (raise resources.limits.memory)\n",
			bytesText(p.c.limit.Load()), m.Name)
	case e.Killed:
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.signal == 0 { // Delete ends what still runs
			return statusOOM, ""
		}
		return 128 + uint32(p.signal), ""
	case e.Trap != nil:
		return statusTrap, trapText(e.Trap, m.Name)
	}
	return e.Code, ""
}

// trapText says the kind, the function and the module, then what the engine says.
func trapText(t *engines.Trap, module string) string {
	text := fmt.Sprintf("blazar: %v (module %s)\n", t, module)
	if m := strings.TrimSpace(t.Message); m != "" {
		text += m + "\n"
	}
	const longest = 4 << 10 // a termination message is no longer, a pipe takes it at once
	if len(text) > longest {
		text = text[:longest-1] + "\n"
	}
	return text
}

// outOfMemory counts and tells of a guest that ended over its limit. One that is
// not told of yet is enough.
func (c *container) outOfMemory() {
	c.ooms.Add(1)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over {
		return
	}
	select {
	case c.oom <- struct{}{}:
	default:
	}
}

// bytesText writes a limit the way it was most likely given.
func bytesText(n uint64) string {
	for _, u := range []struct {
		size uint64
		name string
	}{{1 << 30, "GiB"}, {1 << 20, "MiB"}, {1 << 10, "KiB"}} {
		if n >= u.size && n%u.size == 0 {
			return fmt.Sprintf("%d %s", n/u.size, u.name)
		}
	}
	return fmt.Sprintf("%d bytes", n)
}
