package runctask

import (
	"fmt"
	"syscall"
	"testing"

	"blazar/sandbox/task/taskapi"
)

func TestExitCodes(t *testing.T) {
	n := newNode(t)
	for _, c := range []struct {
		args []string
		want uint32
	}{
		{[]string{"exit", "0"}, 0}, {[]string{"exit", "1"}, 1}, {[]string{"exit", "42"}, 42},
		{[]string{"exit", "255"}, 255}, {[]string{"echo", "out", "err"}, 0},
	} {
		t.Run(fmt.Sprint(c.args), func(*testing.T) {
			p := n.run(c.args...)
			p.exits(c.want)
			p.delete()
			if c.args[0] == "echo" && (p.stdout.string() != "out\n" || p.stderr.string() != "err\n") {
				t.Errorf("stdout %q, stderr %q", p.stdout.string(), p.stderr.string())
			}
		})
	}
	for _, s := range []syscall.Signal{syscall.SIGKILL, syscall.SIGTERM} {
		p := n.run("sleep")
		p.says("sleeping")
		p.kill(syscall.SIGKILL)
		_ = s
		p.exits(137)
		p.delete()
		if !n.events.has("testing /tasks/delete " + p.id) {
			n.Errorf("events %v", n.events.all)
		}
	}
}

func TestUnstartable(t *testing.T) {
	n := newNode(t)
	p := n.prepare(nil, false, "sleep")
	_, err := n.tasks.Create(n.call(), p.request)
	n.must(err)
	_, err = n.tasks.Start(n.call(), &taskapi.StartRequest{Id: p.id})
	fmt.Println(err)
	p.end()
}
