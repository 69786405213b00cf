package mnt

import (
	"fmt"
	"strings"

	"github.com/containerd/errdefs"
)

// Mount is a mount as containerd's snapshotters describe it; of the same shape as
// the Task API's.
type Mount struct {
	Type, Source, Target string
	Options              []string
}

// FromContainerd makes the mount of a root file system: an overlay or a bind, which
// is what the overlayfs and native snapshotters give. Attributes are added to
// those that the options ask for; m and scratch are as for Overlay.
// errdefs.ErrNotImplemented for anything else.
func FromContainerd(mounts []Mount, m *IDMap, a Attr, scratch string) (*Detached, error) {
	if len(mounts) != 1 || mounts[0].Target != "" {
		return nil, fmt.Errorf("root file system of %d mounts: one is supported, as the overlayfs and native snapshotters give it: %w",
			len(mounts), errdefs.ErrNotImplemented)
	}
	mount := mounts[0]
	rest := a.parse(mount.Options)
	switch mount.Type {
	case "overlay":
		l, err := layers(rest)
		if err != nil {
			return nil, err
		}
		return Overlay(l, m, a, scratch)
	case "bind", "rbind":
		recursive := mount.Type == "rbind"
		for _, o := range rest {
			switch o {
			case "rbind":
				recursive = true
			case "bind":
			default:
				return nil, fmt.Errorf("bind mount of %s: option %q: %w", mount.Source, o, errdefs.ErrNotImplemented)
			}
		}
		return Bind(mount.Source, recursive, m, a)
	}
	return nil, fmt.Errorf("root file system of type %q: overlay and bind are supported, choose the overlayfs or native snapshotter: %w",
		mount.Type, errdefs.ErrNotImplemented)
}

// Directories are those that a mount for FromContainerd is made of, as its options
// name them: of a bind it is the upper one. An error if FromContainerd would refuse it.
func Directories(m Mount) (Layers, error) {
	var a Attr
	rest := a.parse(m.Options)
	switch m.Type {
	case "overlay":
		return layers(rest)
	case "bind", "rbind":
		return Layers{Upper: m.Source}, nil
	}
	return Layers{}, fmt.Errorf("root file system of type %q: %w", m.Type, errdefs.ErrNotImplemented)
}

// parse takes the options of every mount, mount(8), and returns the others.
func (a *Attr) parse(options []string) (rest []string) {
	for _, o := range options {
		switch o {
		case "ro":
			a.ReadOnly = true
		case "nosuid":
			a.NoSUID = true
		case "nodev":
			a.NoDev = true
		case "noexec":
			a.NoExec = true
		case "rw", "suid", "dev", "exec", "relatime", "defaults", "": // what a mount is without them
		case "private", "rprivate":
			a.Propagation = Private
		case "slave", "rslave":
			a.Propagation = Slave
		default:
			rest = append(rest, o)
		}
	}
	return rest
}

// layers reads overlayfs's options.
func layers(options []string) (l Layers, err error) {
	for _, o := range options {
		k, v, _ := strings.Cut(o, "=")
		switch k {
		case "lowerdir":
			if l.Lower, err = splitLayers(v); err != nil {
				return Layers{}, err
			}
		case "upperdir":
			l.Upper = unescape(v)
		case "workdir":
			l.Work = unescape(v)
		default:
			l.Options = append(l.Options, o)
		}
	}
	return l, nil
}

// splitLayers splits at colons that have no backslash before them. Two colons
// begin layers of data only, which snapshotters make for composefs.
func splitLayers(s string) ([]string, error) {
	var out []string
	begin := 0
	for i := 0; i <= len(s); i++ {
		switch {
		case i < len(s) && s[i] == '\\':
			i++
		case i == len(s) || s[i] == ':':
			if i == begin {
				return nil, fmt.Errorf("overlay layers %q: an empty or data-only layer: %w", s, errdefs.ErrNotImplemented)
			}
			out = append(out, unescape(s[begin:min(i, len(s))]))
			begin = i + 1
		}
	}
	return out, nil
}

func unescape(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) {
			i++
		}
		b.WriteByte(s[i])
	}
	return b.String()
}
