// Package version says which build of Blazar this is, the same way for every
// binary of it.
package version

import "runtime/debug"

// Get is what the build recorded: the module's version, else "devel" with the
// revision it was built from, if known. Never empty.
func Get() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	return Of(info)
}

// Of is Get for another binary, of which debug/buildinfo has read info.
func Of(info *debug.BuildInfo) string {
	if v := info.Main.Version; v != "" && v != "(devel)" {
		return v
	}
	if r := setting(info, "vcs.revision"); len(r) >= 12 {
		return "devel-" + r[:12]
	}
	return "devel"
}

// Revision is the full revision of the source, empty if the build did not record it.
func Revision() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	return setting(info, "vcs.revision")
}

func setting(info *debug.BuildInfo, key string) string {
	for _, s := range info.Settings {
		if s.Key == key {
			return s.Value
		}
	}
	return ""
}
