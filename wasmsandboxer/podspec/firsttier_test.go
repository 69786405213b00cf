package podspec

import (
	"errors"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
)

func TestFirstTier(t *testing.T) {
	const large = 1 << 20
	server := map[string]string{AnnotationListen: "tcp:80"}
	for name, c := range map[string]struct {
		container  Container
		configured string
		work       Work
		want       bool
		why        string
	}{
		"large":                   {work: Work{Size: large}, want: true, why: "large"},
		"small":                   {work: Work{Size: FirstTierSize - 1}, why: "small"},
		"small exec":              {work: Work{Exec: true}, why: "small"},
		"auto":                    {configured: FirstTierAuto, work: Work{Size: large}, want: true},
		"server":                  {container: Container{Pod: server}, work: Work{Size: large}, why: "server"},
		"exec in a server":        {container: Container{Pod: server}, work: Work{Size: large, Exec: true}, want: true, why: "exec"},
		"another one's listeners": {container: Container{Name: "a", Pod: map[string]string{AnnotationListen + ".b": "tcp:80"}}, work: Work{Size: large}, want: true},
		"listeners that are none": {container: Container{Pod: map[string]string{AnnotationListen: "?"}}, work: Work{Size: large}, want: true},
		"deployment":              {work: Work{Size: large, Labels: map[string]string{"pod-template-hash": "x"}}, why: "pod-template-hash"},
		"daemon set":              {work: Work{Size: large, Labels: map[string]string{"controller-revision-hash": "x"}}, why: "controller-revision-hash"},
		"job":                     {work: Work{Size: large, Labels: map[string]string{"batch.kubernetes.io/job-name": "x"}}, want: true},
		"off":                     {configured: FirstTierOff, work: Work{Size: large}, why: "configuration"},
		"on":                      {configured: FirstTierOn, want: true, why: "configuration"},
		"on for one": {
			container:  Container{Name: "a", Pod: map[string]string{AnnotationFirstTier: "off", AnnotationFirstTier + ".a": "on"}},
			configured: FirstTierOff, want: true, why: "pod annotation blazar/first-tier.a",
		},
		"auto for a server all the same": {
			container:  Container{Annotations: map[string]string{AnnotationFirstTier: "auto"}, Pod: server},
			configured: FirstTierOn, work: Work{Size: large}, why: "server",
		},
	} {
		t.Run(name, func(t *testing.T) {
			got, why, err := c.container.FirstTier(c.configured, c.work)
			if err != nil || got != c.want || !strings.Contains(why, c.why) {
				t.Errorf("%v, %q, %v; want %v for %q", got, why, err, c.want, c.why)
			}
		})
	}
	_, _, err := (&Container{Pod: map[string]string{AnnotationFirstTier: "winch"}}).FirstTier("", Work{})
	if !errors.Is(err, errdefs.ErrInvalidArgument) || !strings.Contains(err.Error(), "auto, on, off") {
		t.Error(err)
	}
}
