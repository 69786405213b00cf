// Package kubernetes holds examples, which are checked here.
package kubernetes

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pelletier/go-toml/v2"
	"go.yaml.in/yaml/v3"
)

// object is what is checked of an object of Kubernetes.
type object struct {
	APIVersion string `yaml:"apiVersion"`
	Kind       string
	Metadata   struct {
		Name        string
		Annotations map[string]string
	}
	Handler string
	Spec    struct {
		podSpec  `yaml:",inline"`
		Template struct {
			Metadata struct{ Annotations map[string]string }
			Spec     podSpec
		}
	}
}

type podSpec struct {
	RuntimeClassName string `yaml:"runtimeClassName"`
	Containers       []struct{ Name, Image string }
}

func objects(t *testing.T) map[string][]object {
	t.Helper()
	files, err := filepath.Glob("*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("%v, %v", files, err)
	}
	all := map[string][]object{}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		d := yaml.NewDecoder(bytes.NewReader(b))
		for {
			var o object
			err := d.Decode(&o)
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatalf("%s: %v", f, err)
			}
			if o.APIVersion == "" || o.Kind == "" || o.Metadata.Name == "" {
				t.Errorf("%s: %+v", f, o)
			}
			all[f] = append(all[f], o)
		}
	}
	return all
}

// TestClassesHaveHandlers checks that every class leads to a handler of the drop-in
// and every handler has a class.
func TestClassesHaveHandlers(t *testing.T) {
	b, err := os.ReadFile("containerd/blazar.toml")
	if err != nil {
		t.Fatal(err)
	}
	var config struct {
		Plugins map[string]struct {
			Containerd struct {
				Runtimes map[string]any `toml:"runtimes"`
			} `toml:"containerd"`
		} `toml:"plugins"`
	}
	if err := toml.Unmarshal(b, &config); err != nil {
		t.Fatal(err)
	}
	missing := config.Plugins["io.containerd.cri.v1.runtime"].Containerd.Runtimes
	if len(missing) == 0 {
		t.Fatal("the drop-in has no handlers")
	}
	for _, o := range objects(t)["runtimeclasses.yaml"] {
		if o.Kind != "RuntimeClass" || o.Handler != o.Metadata.Name {
			t.Errorf("%+v", o)
		}
		if _, ok := missing[o.Handler]; !ok {
			t.Errorf("class %s: no such handler", o.Handler)
		}
		delete(missing, o.Handler)
	}
	for handler := range missing {
		t.Errorf("handler %s has no class", handler)
	}
}

func TestWorkloads(t *testing.T) {
	classes := map[string]bool{}
	for _, o := range objects(t)["runtimeclasses.yaml"] {
		classes[o.Metadata.Name] = true
	}
	for file, all := range objects(t) {
		for _, o := range all {
			spec, annotations := o.Spec.podSpec, o.Metadata.Annotations
			if len(spec.Containers) == 0 {
				spec, annotations = o.Spec.Template.Spec, o.Spec.Template.Metadata.Annotations
			}
			if len(spec.Containers) == 0 {
				continue // no workload
			}
			if !classes[spec.RuntimeClassName] {
				t.Errorf("%s: class %q is not defined", file, spec.RuntimeClassName)
			}
			names := map[string]bool{}
			for _, c := range spec.Containers {
				names[c.Name] = true
				if !strings.HasPrefix(c.Image, "registry.example.com/") {
					t.Errorf("%s: image %s", file, c.Image)
				}
			}
			for key := range annotations {
				name, of, isOne := strings.Cut(key, ".")
				if name != "blazar/engine" && name != "blazar/listen" || isOne && !names[of] {
					t.Errorf("%s: annotation %s means nothing", file, key)
				}
			}
		}
	}
}
