package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/urfave/cli/v3"

	"blazar/cmd/blazar/internal/install"
)

func installCommand() *cli.Command {
	return &cli.Command{
		Name:  "install",
		Usage: "put Blazar on this host: binaries, containerd's drop-in, the systemd units",
		Description: "Runs again without doing anything twice. Files that were changed by hand are left\n" +
			"alone unless --force is given. containerd must be restarted afterwards.",
		Flags: append(installFlags(),
			&cli.StringFlag{Name: "from", Usage: "directory of the built binaries (default: that of this one)"},
			&cli.StringFlag{Name: "state", Usage: "directory of the sockets that containerd is told of", Value: "/run/blazar"},
			&cli.BoolFlag{Name: "local-image-pull", Usage: "let containerd unpack wasi/wasm images pulled through CRI", Value: true},
			&cli.BoolFlag{Name: "systemd", Usage: "write the systemd units", Value: true},
		),
		Action: func(_ context.Context, c *cli.Command) error {
			o, err := installOptions(c)
			if err != nil {
				return err
			}
			p, err := install.Install(o)
			return finishInstall(c, p, err, nextSteps(o))
		},
	}
}

func uninstallCommand() *cli.Command {
	return &cli.Command{
		Name:        "uninstall",
		Usage:       "take off this host what install put there",
		Description: "Refuses while pods run, and leaves files that were changed by hand, unless --force is given.",
		Flags:       installFlags(),
		Action: func(_ context.Context, c *cli.Command) error {
			o, err := installOptions(c)
			if err != nil {
				return err
			}
			if !o.Force {
				if err := install.Busy(o); err != nil {
					return err
				}
			}
			p, err := install.Uninstall(o)
			return finishInstall(c, p, err, "")
		},
	}
}

func installFlags() []cli.Flag {
	return []cli.Flag{
		&cli.BoolFlag{Name: "dry-run", Usage: "print what would be done, and do nothing"},
		&cli.BoolFlag{Name: "force", Usage: "overwrite or remove also what was changed by hand"},
		&cli.StringFlag{Name: "prefix", Usage: "directory of the binaries", Value: "/usr/local"},
		&cli.StringFlag{Name: "root", Usage: "directory put before every path, for packaging"},
		&cli.StringFlag{Name: "containerd-config", Usage: "containerd's main configuration", Value: "/etc/containerd/config.toml"},
	}
}

func installOptions(c *cli.Command) (install.Options, error) {
	if c.Args().Present() {
		return install.Options{}, cli.Exit(fmt.Sprintf("unexpected argument %q; see `%s --help`", c.Args().First(), c.FullName()), 2)
	}
	o := install.Options{
		Root:             c.String("root"),
		Prefix:           c.String("prefix"),
		From:             c.String("from"),
		ContainerdConfig: c.String("containerd-config"),
		StateDir:         c.String("state"),
		LocalImagePull:   c.Bool("local-image-pull"),
		Systemd:          c.Bool("systemd"),
		Force:            c.Bool("force"),
	}
	for name, path := range map[string]string{"prefix": o.Prefix, "containerd-config": o.ContainerdConfig} {
		if !filepath.IsAbs(path) {
			return o, cli.Exit(fmt.Sprintf("--%s %q must be an absolute path", name, path), 2)
		}
	}
	if o.From == "" {
		self, err := os.Executable()
		if err != nil {
			return o, fmt.Errorf("find the binaries: %w; name their directory with --from", err)
		}
		o.From = filepath.Dir(self)
	}
	return o, nil
}

// finishInstall prints the plan and carries it out, unless it is a dry run or
// something is in the way.
func finishInstall(c *cli.Command, p *install.Plan, planErr error, next string) error {
	w := c.Root().Writer
	if p != nil {
		if err := p.Print(w); err != nil {
			return err
		}
	}
	if planErr != nil || c.Bool("dry-run") {
		return planErr
	}
	if err := p.Apply(); err != nil {
		return err
	}
	if p.Changes() && next != "" {
		_, err := io.WriteString(w, next)
		return err
	}
	return nil
}

// nextSteps is what a person has to do after an installation.
func nextSteps(o install.Options) string {
	if o.Root != "" {
		return ""
	}
	s := "\nNow:\n"
	if o.Systemd {
		s += "  systemctl daemon-reload && systemctl enable --now blazar blazar-taskd && systemctl restart blazar\n"
	} else {
		s += "  start `blazar serve` and `blazar taskd`\n"
	}
	return s + "  systemctl restart containerd   # running pods are not disturbed\n  blazar doctor\n"
}
