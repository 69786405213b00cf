package install

import (
	"bytes"
	"testing"

	"github.com/coreos/go-systemd/v22/unit"
)

// TestUnit checks what pods depend on to outlive the daemon.
func TestUnit(t *testing.T) {
	o := options(t)
	both := map[string]string{
		"Unit.Before":                      "containerd.service",
		"Service.Type":                     "notify",
		"Service.KillMode":                 "process",
		"Service.RuntimeDirectory":         "blazar",
		"Service.RuntimeDirectoryPreserve": "yes",
		"Service.Delegate":                 "yes",
		"Install.WantedBy":                 "multi-user.target",
	}
	own := map[string]map[string]string{
		"blazar.service": {
			"Service.ExecStart":       "/usr/local/bin/blazar serve",
			"Service.WatchdogSec":     "30",
			"Service.TimeoutStartSec": "180",
		},
		"blazar-taskd.service": {
			"Service.ExecStart": "/usr/local/bin/blazar taskd",
		},
	}
	for _, name := range units {
		text, err := o.render(name + ".tmpl")
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
		for _, wants := range []map[string]string{both, own[name]} {
			for key, want := range wants {
				if got[key] != want {
					t.Errorf("%s: %s is %q, want %q", name, key, got[key], want)
				}
			}
		}
	}
}
