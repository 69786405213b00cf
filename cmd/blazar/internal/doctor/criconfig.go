package doctor

// CRI is what matters here of the configuration of containerd's CRI runtime
// plugin (internal/cri/config of containerd), as JSON in its verbose status and
// as TOML in its file.
type CRI struct {
	Containerd struct {
		Runtimes map[string]Runtime `json:"runtimes" toml:"runtimes"`
	} `json:"containerd" toml:"containerd"`
	CNI struct {
		// BinDirs is a list since containerd 2.1, BinDir one directory before.
		BinDirs []string `json:"binDirs" toml:"bin_dirs"`
		BinDir  string   `json:"binDir" toml:"bin_dir"`
		ConfDir string   `json:"confDir" toml:"conf_dir"`
	} `json:"cni" toml:"cni"`
	RestrictOOMScoreAdj bool `json:"restrictOOMScoreAdj" toml:"restrict_oom_score_adj"`
}

// Runtime is one runtime handler.
type Runtime struct {
	Type                  string   `json:"runtimeType" toml:"runtime_type"`
	Path                  string   `json:"runtimePath" toml:"runtime_path"`
	Sandboxer             string   `json:"sandboxer" toml:"sandboxer"`
	DisablePauseImagePull bool     `json:"disablePauseImagePull" toml:"disable_pause_image_pull"`
	PodAnnotations        []string `json:"PodAnnotations" toml:"pod_annotations"`
	ContainerAnnotations  []string `json:"ContainerAnnotations" toml:"container_annotations"`
}

// cniDirs returns where networks are configured and where their plugins are, the
// defaults of containerd where nothing is said.
func (c *CRI) cniDirs() (conf string, bin []string) {
	conf, bin = "/etc/cni/net.d", []string{"/opt/cni/bin"}
	if c == nil {
		return conf, bin
	}
	if c.CNI.ConfDir != "" {
		conf = c.CNI.ConfDir
	}
	if c.CNI.BinDir != "" {
		bin = []string{c.CNI.BinDir}
	}
	if len(c.CNI.BinDirs) > 0 {
		bin = c.CNI.BinDirs
	}
	return conf, bin
}
