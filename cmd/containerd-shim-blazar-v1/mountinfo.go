package main

import (
	"bytes"
	"slices"
	"strings"
)

// mountPoint is the field of a line of /proc/PID/mountinfo that holds the mount
// point; proc_pid_mountinfo(5).
const mountPoint = 4

// mountsBelow lists the mount points below dir, but not dir itself, the latest
// mount first: a mount comes before what it is mounted on.
func mountsBelow(mountinfo []byte, dir string) []string {
	prefix := strings.TrimSuffix(dir, "/") + "/"
	var paths []string
	for line := range bytes.Lines(mountinfo) {
		fields := bytes.Fields(line)
		if len(fields) <= mountPoint {
			continue
		}
		if p := unescape(string(fields[mountPoint])); strings.HasPrefix(p, prefix) {
			paths = append(paths, p)
		}
	}
	slices.Reverse(paths)
	return paths
}

// unescape undoes the kernel's octal escapes of space, tab, newline and backslash.
func unescape(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) && octal(s[i+1]) && octal(s[i+2]) && octal(s[i+3]) {
			b.WriteByte((s[i+1]-'0')<<6 | (s[i+2]-'0')<<3 | (s[i+3] - '0'))
			i += 3
			continue
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

func octal(c byte) bool { return c >= '0' && c <= '7' }
