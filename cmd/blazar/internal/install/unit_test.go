package install

import (
	"bytes"
	"testing"

	"github.com/coreos/go-systemd/v22/unit"
)

// TestUnit checks what pods depend on to outlive the daemon.
func TestUnit(t *testing.T) {
	o := options(t)
	text, err := o.render("blazar.service.tmpl")
	if err != nil {
		t.Fatal(err)
	}
	all, err := unit.DeserializeOptions(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, u := range all {
		got[u.Section+"."+u.Name] = u.Value
	}
	for name, want := range map[string]string{
		"Unit.Before":                      "containerd.service",
		"Service.Type":                     "notify",
		"Service.ExecStart":                "/usr/local/bin/blazar serve",
		"Service.WatchdogSec":              "30",
		"Service.TimeoutStartSec":          "180",
		"Service.KillMode":                 "process",
		"Service.RuntimeDirectory":         "blazar",
		"Service.RuntimeDirectoryPreserve": "yes",
		"Service.Delegate":                 "yes",
		"Install.WantedBy":                 "multi-user.target",
	} {
		if got[name] != want {
			t.Errorf("%s is %q, want %q", name, got[name], want)
		}
	}
}
