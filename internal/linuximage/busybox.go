package linuximage

import (
	"context"
	"path/filepath"
	"slices"
	"strings"
)

// Programs that busybox is built without, as far as they are asked for.
const (
	pgrep = `for p in /proc/[0-9]*; do
	read -r name 2>/dev/null <"$p/comm" || continue
	case $name in *"$1"*) echo "${p#/proc/}"; found=1 ;; esac
done
[ -n "$found" ]
`
	ipcs = `echo "------ Shared Memory Segments --------"
echo "key shmid perms size"
tail -n +2 /proc/sysvipc/shm | while read -r key id perms size rest; do
	echo "$key $id $perms $size"
done
`
)

const passwd = `root:x:0:0:root:/root:/bin/sh
daemon:x:1:1:daemon:/usr/sbin:/bin/false
www-data:x:33:33:www-data:/var/www:/bin/false
nobody:x:65534:65534:nobody:/home:/bin/false
`

const group = `root:x:0:
daemon:x:1:
tty:x:5:
www-data:x:33:
users:x:100:
nobody:x:65534:
`

// baseLayer is a root file system: busybox under all its names, and the places that
// programs expect.
func baseLayer(ctx context.Context, cache string) ([]entry, error) {
	found, err := fetch(ctx, cache)
	if err != nil {
		return nil, err
	}
	names, err := found.applets(ctx, filepath.Join(cache, "busybox"))
	if err != nil {
		return nil, err
	}
	entries := []entry{
		script("bin/pgrep", pgrep), script("bin/ipcs", ipcs),
		text("etc/passwd", passwd), text("etc/group", group),
		text("etc/shadow", "root:*:::::::\n"),
		dir("tmp/", 0o1777), dir("var/tmp/", 0o1777), dir("root/", 0o700),
		link("var/run", "../run"), link("sbin", "bin"),
	}
	dirs := []string{"bin/", "dev/", "etc/", "home/", "mnt/", "proc/", "run/", "sys/", "usr/", "usr/bin/", "usr/sbin/", "var/"}
	for path, content := range found {
		entries = append(entries, file(path, 0o755, content))
		for d := filepath.Dir(path); d != "."; d = filepath.Dir(d) {
			if !slices.Contains(dirs, d+"/") {
				dirs = append(dirs, d+"/")
			}
		}
	}
	for _, d := range dirs {
		entries = append(entries, dir(d, 0o755))
	}
	for _, name := range names {
		if name != "busybox" && name != "pgrep" && name != "ipcs" {
			// Not a symbolic link: what is mounted over one name would cover all.
			entries = append(entries, same("bin/"+name, "bin/busybox"))
		}
	}
	return entries, nil
}

// applets are the names that busybox goes by. Its own loader runs it: the host's may be
// of another release.
func (f files) applets(ctx context.Context, root string) ([]string, error) {
	var loader, libraries string
	for path := range f {
		switch name := filepath.Base(path); {
		case strings.HasPrefix(name, "ld-linux"):
			loader = filepath.Join(root, path)
		case strings.HasPrefix(name, "libc."):
			libraries = filepath.Join(root, filepath.Dir(path))
		}
	}
	list, err := run(ctx, "/", loader, "--library-path", libraries, filepath.Join(root, "bin/busybox"), "--list")
	return strings.Fields(list), err
}
