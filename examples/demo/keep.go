package main

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"

	"blazar/examples/show"
	"blazar/internal/node"
)

// leaveUp says how to use a node that stays, and how to end it.
func leaveUp(s *screen, n *node.Node) error {
	pod, container := filepath.Join(n.Dir, "pod.json"), filepath.Join(n.Dir, "hello.json")
	err := errors.Join(
		n.Keep(),
		writeJSON(pod, n.Pod("try")),
		writeJSON(container, node.Container("hello", show.ImageName("hello-c"))),
	)
	if err != nil {
		return errors.Join(err, n.Stop(context.Background()))
	}
	s.say("The node stays up in %s. To use it:", n.Dir)
	s.say("")
	s.say("  alias ncrictl='%s'", strings.Join(n.CrictlArgs(), " "))
	s.say("  ncrictl images")
	s.say("  P=$(ncrictl runp --runtime %s %s)", show.Handler, pod)
	s.say("  C=$(ncrictl create --no-pull $P %s %s)", container, pod)
	s.say("  ncrictl start $C; ncrictl logs $C; ncrictl inspectp $P")
	s.say("  ncrictl rmp -f $P")
	s.say("")
	s.say("Logs: %s. To take it down: make stop", filepath.Join(n.Dir, "logs"))
	return nil
}

func writeJSON(file string, v any) error {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(b, '\n'), 0o600)
}
