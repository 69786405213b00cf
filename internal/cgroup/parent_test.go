package cgroup

import (
	"testing"

	"github.com/containerd/errdefs"
)

func TestContainerState(t *testing.T) {
	for in, want := range map[string]string{
		"/kubepods/burstable/pod1/abc":       "/kubepods/burstable/pod1/abc",
		"k8s.io/abc":                         "/k8s.io/abc",
		"a-b.slice:cri-containerd:0123":      "/a.slice/a-b.slice/cri-containerd-0123.scope",
		"-.slice:cri-containerd:0123":        "/cri-containerd-0123.scope",
		"/../../x":                           "/x",
		"a-b.slice:../../../x:y":             "",
		"a--b.slice:cri-containerd:0123":     "",
		"a b":                                "",
		"kubepods.slice:cri-containerd:a:b:": "/kubepods.slice:cri-containerd:a:b:",
	} {
		s, err := containerState(in)
		if want == "" {
			if !errdefs.IsInvalidArgument(err) {
				t.Errorf("%q: %+v, %v", in, s, err)
			}
			continue
		}
		if err != nil || s.Path != want || s.Scope != "" {
			t.Errorf("%q: %+v, %v, want %s", in, s, err, want)
		}
	}
}

func TestParentOfNobody(t *testing.T) {
	g, err := Parent("/blazar-test-there-is-none")
	if err != nil {
		t.Fatal(err)
	}
	if g.Exists() {
		t.Error("it exists")
	}
	if _, err := g.Metrics(t.Context()); !errdefs.IsNotFound(err) {
		t.Errorf("metrics: %v", err)
	}
	if _, err := Parent("a--b.slice"); !errdefs.IsInvalidArgument(err) {
		t.Errorf("no slice: %v", err)
	}
}
