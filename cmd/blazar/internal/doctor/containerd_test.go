package doctor

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

// good is a daemon as `blazar install` leaves it.
func good() *Containerd {
	c := &Containerd{Version: "2.4.2", Sandboxers: []string{"shim", "podsandbox", "wasm"}, CRI: &CRI{}, CapSysResource: true}
	c.CRI.Containerd.Runtimes = map[string]Runtime{
		"runc": {Type: "io.containerd.runc.v2", Sandboxer: "podsandbox"},
		"blazar-wasm": {Type: runtimeType, Sandboxer: "wasm", DisablePauseImagePull: true,
			ContainerAnnotations: []string{"blazar/*"}},
	}
	return c
}

// but changes the one runtime of Blazar in a good daemon.
func but(change func(*Containerd, *Runtime)) *Host {
	c := good()
	r := c.CRI.Containerd.Runtimes["blazar-wasm"]
	change(c, &r)
	c.CRI.Containerd.Runtimes["blazar-wasm"] = r
	return &Host{Containerd: c}
}

func TestContainerd(t *testing.T) {
	version := func(v string) *Host { return but(func(c *Containerd, _ *Runtime) { c.Version = v }) }
	run(t, checkContainerd, []one{
		{"target", version("v2.4.2"), []Level{OK, OK}, nil},
		{"newer", version("3.0.0"), []Level{OK, OK}, nil},
		{"oldest", version("2.3.1"), []Level{Warn, OK}, []string{"pause image"}},
		{"too old", version("1.7.27"), []Level{Fail, OK}, []string{"too old"}},
		{"odd", version("custom"), []Level{Warn, OK}, []string{"unreadable"}},
		{"no daemon", &Host{ContainerdAddress: "/run/x.sock", ContainerdErr: errors.New("refused")}, []Level{Fail}, []string{"/run/x.sock", "refused"}},
		{"not root", &Host{ContainerdErr: fmt.Errorf("dial: %w", unix.EACCES)}, []Level{Fail}, []string{"run as root"}},
		{"no CRI", &Host{Containerd: &Containerd{Version: "2.4.2", CRIErr: errors.New("unimplemented")}}, []Level{OK, Fail}, []string{"disabled_plugins"}},
	})
}

func TestRuntimes(t *testing.T) {
	file := &FileConfig{Sandboxers: map[string]string{"wasm": "/run/blazar/wasm.sock"}, Runtimes: good().CRI.Containerd.Runtimes}
	none := but(func(*Containerd, *Runtime) {})
	delete(none.Containerd.CRI.Containerd.Runtimes, "blazar-wasm")
	stale := &Host{Containerd: none.Containerd, File: file}
	run(t, checkRuntimes, []one{
		{"good", but(func(*Containerd, *Runtime) {}), []Level{OK}, []string{"sandboxer wasm"}},
		{"good file, no daemon", &Host{File: file}, []Level{OK}, nil},
		{"none", none, []Level{Fail}, []string{"blazar install"}},
		{"not restarted", stale, []Level{Fail}, []string{"restart containerd"}},
		{"nothing known", &Host{FileErr: errors.New("no such file")}, []Level{Fail}, []string{"no such file"}},
		{"no sandboxer", but(func(_ *Containerd, r *Runtime) { r.Sandboxer = "podsandbox" }), []Level{Fail}, []string{"would start a shim"}},
		{"no plugin", but(func(c *Containerd, _ *Runtime) { c.Sandboxers = nil }), []Level{Fail}, []string{"[proxy_plugins.wasm]"}},
		{"type", but(func(_ *Containerd, r *Runtime) { r.Type = "io.containerd.runc.v2" }), []Level{Fail}, []string{"runtime_type"}},
		{"path instead of type", but(func(_ *Containerd, r *Runtime) { r.Type, r.Path = "", "/opt/shim" }), []Level{OK}, nil},
		{"annotations", but(func(_ *Containerd, r *Runtime) { r.ContainerAnnotations = nil }), []Level{Warn}, []string{"container_annotations"}},
		{"annotations of the pod", but(func(_ *Containerd, r *Runtime) { r.PodAnnotations = []string{"blazar/*"} }), []Level{Warn}, []string{"out of pod_annotations"}},
		{"pause", but(func(_ *Containerd, r *Runtime) { r.DisablePauseImagePull = false }), []Level{Warn}, []string{"disable_pause_image_pull"}},
		{"pause, older", but(func(c *Containerd, r *Runtime) { c.Version, r.DisablePauseImagePull = "2.3.0", false }), []Level{OK}, nil},
	})
}

func TestImagePull(t *testing.T) {
	run(t, checkImagePull, []one{
		{"on", &Host{File: &FileConfig{UseLocalImagePull: true}}, []Level{OK}, nil},
		{"off", &Host{Containerd: good(), File: &FileConfig{}}, []Level{Warn}, []string{"use_local_image_pull"}},
		{"older", &Host{Containerd: &Containerd{Version: "2.2.0"}, File: &FileConfig{}}, []Level{OK}, nil},
		{"unknown", &Host{}, []Level{Warn}, nil},
	})
}

func TestOOMScore(t *testing.T) {
	run(t, checkOOMScore, []one{
		{"may", but(func(*Containerd, *Runtime) {}), []Level{OK}, nil},
		{"may not and knows", but(func(c *Containerd, _ *Runtime) { c.CapSysResource, c.CRI.RestrictOOMScoreAdj = false, true }), []Level{OK}, nil},
		{"may not", but(func(c *Containerd, _ *Runtime) { c.CapSysResource = false }), []Level{Warn}, []string{"restrict_oom_score_adj"}},
		{"no daemon", &Host{}, []Level{Warn}, nil},
	})
}

// statusConfig is an excerpt of what CRI of containerd 2.4.2 answers.
const statusConfig = `{"containerd":{"defaultRuntimeName":"runc","runtimes":{"blazar-wasm":{"runtimeType":"io.containerd.blazar.v1","runtimePath":"","PodAnnotations":["blazar/*"],"ContainerAnnotations":["blazar/*"],"options":{},"sandboxer":"wasm","disablePauseImagePull":true}}},
"cni":{"binDir":"","binDirs":["/usr/lib/cni"],"confDir":"/etc/cni/net.d"},"restrictOOMScoreAdj":true}`

func TestStatusOfCRI(t *testing.T) {
	var c CRI
	if err := json.Unmarshal([]byte(statusConfig), &c); err != nil {
		t.Fatal(err)
	}
	r := c.Containerd.Runtimes["blazar-wasm"]
	if r.Type != runtimeType || r.Sandboxer != "wasm" || !r.DisablePauseImagePull || !slices.Equal(r.PodAnnotations, []string{"blazar/*"}) || !c.RestrictOOMScoreAdj {
		t.Errorf("%+v", c)
	}
	if conf, bin := c.cniDirs(); conf != "/etc/cni/net.d" || !slices.Equal(bin, []string{"/usr/lib/cni"}) {
		t.Errorf("%s %v", conf, bin)
	}
	if conf, bin := (*CRI)(nil).cniDirs(); conf == "" || len(bin) != 1 {
		t.Errorf("%s %v", conf, bin)
	}
}
