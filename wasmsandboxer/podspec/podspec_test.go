package podspec

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
)

func TestEngine(t *testing.T) {
	both := []string{"wasmtime", "wazero"}
	for name, c := range map[string]struct {
		container  Container
		configured string
		available  []string
		want       string
		reason     string
		err        error
	}{
		"preference":                {available: both, want: "wasmtime", reason: "first of"},
		"configuration":             {configured: "wazero", available: both, want: "wazero", reason: "configuration"},
		"configuration is missing":  {configured: "wasmedge", available: both, err: errdefs.ErrInvalidArgument},
		"none built in":             {err: errdefs.ErrNotImplemented},
		"handler":                   {container: Container{RuntimeHandler: "blazar-wazero"}, configured: "wasmtime", available: both, want: "wazero", reason: "runtime handler blazar-wazero"},
		"handler of a missing one":  {container: Container{RuntimeHandler: "blazar-wasmedge"}, available: both, err: errdefs.ErrInvalidArgument},
		"handler of the kind":       {container: Container{RuntimeHandler: "blazar-wasm"}, available: both, want: "wasmtime"},
		"handler of somebody else":  {container: Container{RuntimeHandler: "runc"}, available: both, want: "wasmtime"},
		"pod over handler":          {container: Container{RuntimeHandler: "blazar-wasmtime", Pod: map[string]string{AnnotationEngine: "wazero"}}, available: both, want: "wazero", reason: "pod annotation blazar/engine"},
		"named container over pod":  {container: Container{Name: "a", Pod: map[string]string{AnnotationEngine: "wasmtime", AnnotationEngine + ".a": "wazero"}}, available: both, want: "wazero", reason: "blazar/engine.a"},
		"other container's":         {container: Container{Name: "b", Pod: map[string]string{AnnotationEngine + ".a": "wazero"}}, available: both, want: "wasmtime"},
		"container over everything": {container: Container{Name: "a", Annotations: map[string]string{AnnotationEngine: "wazero"}, Pod: map[string]string{AnnotationEngine + ".a": "wasmtime"}}, available: both, want: "wazero", reason: "container annotation"},
		"unknown":                   {container: Container{Pod: map[string]string{AnnotationEngine: "v8"}}, available: both, err: errdefs.ErrInvalidArgument},
		"empty":                     {container: Container{Pod: map[string]string{AnnotationEngine: ""}}, available: both, err: errdefs.ErrInvalidArgument},
		"hint":                      {container: Container{Pod: map[string]string{AnnotationCrunHandler: "wazero"}}, available: both, want: "wazero", reason: AnnotationCrunHandler},
		"hint that cannot be had":   {container: Container{Pod: map[string]string{AnnotationCrunHandler: "wasm-smart"}}, available: both, want: "wasmtime"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := c.container.Engine(c.configured, c.available)
			if !errors.Is(err, c.err) || c.err == nil && err != nil {
				t.Fatalf("got %v, want %v", err, c.err)
			}
			if got.Engine != c.want || !strings.Contains(got.Reason, c.reason) {
				t.Errorf("got %+v, want %s for %q", got, c.want, c.reason)
			}
			if err != nil {
				for _, possible := range c.available {
					if !strings.Contains(err.Error(), possible) {
						t.Errorf("%v does not list %s", err, possible)
					}
				}
			}
		})
	}
}

func TestWanted(t *testing.T) {
	for name, c := range map[string]struct {
		pod                 map[string]string
		handler, configured string
		want                bool
	}{
		"nobody":               {},
		"pod":                  {pod: map[string]string{AnnotationEngine: "wasmedge"}, want: true},
		"one container":        {pod: map[string]string{AnnotationEngine: "wazero", AnnotationEngine + ".a": "wasmedge"}, want: true},
		"crun's word":          {pod: map[string]string{AnnotationCrunHandler: "wasmedge"}, want: true},
		"crun's for one":       {pod: map[string]string{AnnotationCrunHandler + ".a": "wasmedge"}, want: true},
		"handler":              {handler: "blazar-wasmedge", want: true},
		"configuration":        {configured: "wasmedge", want: true},
		"pod over everything":  {pod: map[string]string{AnnotationEngine: "wazero"}, handler: "blazar-wasmedge", configured: "wasmedge"},
		"another annotation":   {pod: map[string]string{AnnotationListen + ".a": "wasmedge", "note": "wasmedge"}},
		"pod that cannot be":   {pod: map[string]string{AnnotationEngine: "none", AnnotationEngine + ".a": "wasmedge"}, want: true},
		"another one for some": {pod: map[string]string{AnnotationEngine + ".a": "wazero"}},
	} {
		t.Run(name, func(t *testing.T) {
			if got := Wanted("wasmedge", c.pod, c.handler, c.configured, []string{"wasmtime", "wazero", "wasmedge"}); got != c.want {
				t.Errorf("%v", got)
			}
		})
	}
}

func TestListeners(t *testing.T) {
	for value, want := range map[string][]Listener{
		"":                               nil,
		"tcp:8080":                       {{"tcp", ":8080"}},
		"tcp:8080, tcp:127.0.0.1:9":      {{"tcp", ":8080"}, {"tcp", "127.0.0.1:9"}},
		"tcp:[::1]:80":                   {{"tcp", "[::1]:80"}},
		"tcp:::1:80":                     {{"tcp", "[::1]:80"}},
		"tcp:0080":                       {{"tcp", ":80"}},
		"udp:53":                         nil,
		"tcp:":                           nil,
		"tcp:0":                          nil,
		"tcp:65536":                      nil,
		"tcp:+80":                        nil,
		"tcp:-1":                         nil,
		"tcp:localhost:80":               nil,
		"tcp:fe80::1%eth0:80":            nil,
		"8080":                           nil,
		"tcp:80,tcp:80":                  nil,
		"tcp:80,":                        nil,
		strings.Repeat("tcp:1,", 1000):   nil,
		"tcp:" + strings.Repeat("1", 99): nil,
	} {
		c := Container{Pod: map[string]string{AnnotationListen: value}}
		got, err := c.Listeners()
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%.40q: got %v, want %v", value, got, want)
		}
		if refused := want == nil && value != ""; refused != errors.Is(err, errdefs.ErrInvalidArgument) {
			t.Errorf("%.40q: %v", value, err)
		}
		if err != nil && (len(err.Error()) > 400 || !strings.Contains(err.Error(), AnnotationListen)) {
			t.Errorf("%.40q: unfit message %v", value, err)
		}
	}
}

func TestIsolation(t *testing.T) {
	for name, c := range map[string]struct {
		container, pod map[string]string
		process        bool
		source         string
	}{
		"none":       {},
		"thread":     {pod: map[string]string{AnnotationIsolation: "thread"}, source: "pod annotation blazar/isolation"},
		"pod":        {pod: map[string]string{AnnotationIsolation: "process"}, process: true, source: "pod annotation blazar/isolation"},
		"container":  {container: map[string]string{AnnotationIsolation: "process"}, process: true, source: "container annotation blazar/isolation"},
		"one of two": {pod: map[string]string{AnnotationIsolation + ".a": "process"}, process: true, source: "pod annotation blazar/isolation.a"},
		"the other":  {pod: map[string]string{AnnotationIsolation + ".b": "process"}},
		"all but one": {
			pod:    map[string]string{AnnotationIsolation: "process", AnnotationIsolation + ".a": "thread"},
			source: "pod annotation blazar/isolation.a",
		},
	} {
		process, source, err := (&Container{Name: "a", Annotations: c.container, Pod: c.pod}).Isolation()
		if err != nil || process != c.process || source != c.source {
			t.Errorf("%s: %v, %q, %v", name, process, source, err)
		}
	}
	for _, value := range []string{"", "Process", "vm"} {
		c := Container{Pod: map[string]string{AnnotationIsolation: value}}
		if _, _, err := c.Isolation(); !errdefs.IsInvalidArgument(err) {
			t.Errorf("%q: %v", value, err)
		}
	}
}

func FuzzChoices(f *testing.F) {
	f.Add("blazar-wazero", "tcp:8080,tcp:[::1]:1", "wazero", "a")
	f.Add("", "tcp:1.2.3.4:65535", "", "")
	f.Fuzz(func(t *testing.T, handler, listen, engine, name string) {
		available := []string{"wasmtime", "wazero"}
		c := Container{
			Name: name, RuntimeHandler: handler,
			Pod: map[string]string{AnnotationListen: listen, AnnotationEngine: engine, AnnotationListen + "." + name: listen},
		}
		choice, err := c.Engine("", available)
		if (err == nil) != (choice.Engine == "wasmtime" || choice.Engine == "wazero") {
			t.Errorf("%+v, %v", choice, err)
		}
		all, err := c.Listeners()
		if err != nil && all != nil || len(all) > MaxListeners {
			t.Errorf("%v, %v", all, err)
		}
		for _, l := range all {
			// What was accepted is accepted again, as the same.
			d := Container{Pod: map[string]string{AnnotationListen: l.Network + ":" + strings.TrimPrefix(l.Address, ":")}}
			again, err := d.Listeners()
			if err != nil || len(again) != 1 || again[0] != l {
				t.Errorf("%v became %v, %v", l, again, err)
			}
		}
	})
}

func TestMixed(t *testing.T) {
	for name, c := range map[string]struct {
		container, pod map[string]string
		forbidden      bool
		source         string
	}{
		"none":        {},
		"pod":         {pod: map[string]string{AnnotationMixed: "false"}, forbidden: true, source: "pod annotation blazar/mixed"},
		"container":   {container: map[string]string{AnnotationMixed: "false"}, forbidden: true, source: "container annotation blazar/mixed"},
		"one of two":  {pod: map[string]string{AnnotationMixed + ".a": "false"}, forbidden: true, source: "pod annotation blazar/mixed.a"},
		"the other":   {pod: map[string]string{AnnotationMixed + ".b": "false"}},
		"all but one": {pod: map[string]string{AnnotationMixed: "false", AnnotationMixed + ".a": "true"}, source: "pod annotation blazar/mixed.a"},
	} {
		allowed, source, err := (&Container{Name: "a", Annotations: c.container, Pod: c.pod}).Mixed()
		if err != nil || allowed == c.forbidden || source != c.source {
			t.Errorf("%s: %v, %q, %v", name, allowed, source, err)
		}
	}
	for _, value := range []string{"", "False", "no"} {
		c := Container{Pod: map[string]string{AnnotationMixed: value}}
		if _, _, err := c.Mixed(); !errdefs.IsInvalidArgument(err) {
			t.Errorf("%q: %v", value, err)
		}
	}
}
