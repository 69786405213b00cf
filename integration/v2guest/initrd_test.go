package v2guest

import (
	"bytes"
	"context"
	"debug/elf"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// modules of the kernel that the machine needs, where they are not built in.
var modules = []string{"virtio_pci", "virtio_blk", "overlay", "bridge", "veth"}

// initScript loads the modules and goes on with the disk.
const initScript = `#!/busybox sh
/busybox mount -t devtmpfs dev /dev
/busybox mount -t proc proc /proc
for m in %s; do /busybox insmod /$m || echo "module $m cannot be loaded"; done
/busybox mount -t ext4 /dev/vda /root || /busybox poweroff -f
/busybox umount /proc
/busybox mount -o move /dev /root/dev
exec /busybox switch_root /root /init
`

// writeInitrd makes the file system that the kernel starts with.
func writeInitrd(ctx context.Context, file string) error {
	dir, err := os.MkdirTemp(filepath.Dir(file), "initrd-")
	if err != nil {
		return err
	}
	for _, d := range []string{"dev", "proc", "root"} {
		if err := os.Mkdir(filepath.Join(dir, d), 0o755); err != nil {
			return err
		}
	}
	names, err := copyModules(ctx, dir)
	if err != nil {
		return err
	}
	if err := copyFile(filepath.Join(kernelDir, "busybox"), filepath.Join(dir, "busybox"), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "init"), fmt.Appendf(nil, initScript, strings.Join(names, " ")), 0o755); err != nil {
		return err
	}
	var list bytes.Buffer
	err = filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if name, rerr := filepath.Rel(dir, path); err == nil {
			fmt.Fprintln(&list, name)
			err = rerr
		}
		return err
	})
	if err != nil {
		return err
	}
	busybox, err := filepath.Abs(filepath.Join(kernelDir, "busybox"))
	if err != nil {
		return err
	}
	out, err := os.Create(file)
	if err != nil {
		return err
	}
	defer func() { _ = out.Close() }() // what is missing the kernel says
	cmd := exec.CommandContext(ctx, busybox, "cpio", "-o", "-H", "newc")
	cmd.Dir, cmd.Stdin, cmd.Stdout = dir, &list, out
	var said bytes.Buffer
	cmd.Stderr = &said
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("cpio: %w: %s", err, &said)
	}
	return nil
}

// copyModules copies the modules, uncompressed, and returns their names in the order in
// which they can be loaded.
func copyModules(ctx context.Context, to string) ([]string, error) {
	files := map[string]string{} // by name, with _ for -
	err := filepath.WalkDir(filepath.Join(kernelDir, "modules"), func(path string, e fs.DirEntry, err error) error {
		if name, _, ok := strings.Cut(filepath.Base(path), ".ko"); ok && err == nil && !e.IsDir() {
			files[strings.ReplaceAll(name, "-", "_")] = path
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	var order []string
	var load func(name string) error
	load = func(name string) error {
		file := files[name]
		if slices.Contains(order, name+".ko") || file == "" { // else it is built in
			return nil
		}
		target := filepath.Join(to, name+".ko")
		if err := unpackModule(ctx, file, target); err != nil {
			return fmt.Errorf("module %s: %w", name, err)
		}
		needed, err := needs(target)
		if err != nil {
			return fmt.Errorf("module %s: %w", name, err)
		}
		for _, n := range needed {
			if err := load(n); err != nil {
				return err
			}
		}
		order = append(order, name+".ko")
		return nil
	}
	for _, name := range modules {
		if err := load(name); err != nil {
			return nil, err
		}
	}
	return order, nil
}

func unpackModule(ctx context.Context, from, to string) error {
	program := map[string]string{".xz": "xz", ".zst": "zstd", ".gz": "gzip"}[filepath.Ext(from)]
	if program == "" {
		return copyFile(from, to, 0o644)
	}
	b, err := exec.CommandContext(ctx, program, "-dc", from).Output()
	if err != nil {
		return fmt.Errorf("%s: %w", program, err)
	}
	return os.WriteFile(to, b, 0o644)
}

// needs reads the modules that one depends on out of its section .modinfo.
func needs(file string) ([]string, error) {
	f, err := elf.Open(file)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // only read
	s := f.Section(".modinfo")
	if s == nil {
		return nil, fmt.Errorf("it has no section .modinfo")
	}
	b, err := s.Data()
	if err != nil {
		return nil, err
	}
	for field := range strings.SplitSeq(string(b), "\x00") {
		if list, ok := strings.CutPrefix(field, "depends="); ok && list != "" {
			return strings.Split(strings.ReplaceAll(list, "-", "_"), ","), nil
		}
	}
	return nil, nil
}
