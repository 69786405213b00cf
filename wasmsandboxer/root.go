package wasmsandboxer

import (
	"path/filepath"
	"runtime"
	"strconv"

	"blazar/internal/etcfiles"
)

// writeFiles makes hosts, hostname and resolv.conf, which the pod's containers share,
// for pods that come from CRI.
func (p *pod) writeFiles() error {
	if p.r.Config.GetMetadata() == nil {
		return nil
	}
	return etcfiles.Write(filepath.Join(p.path(rootName), "etc"), etcfiles.Options{
		Hostname: p.hostname(), HostNetwork: p.r.NetNS == "", DNS: p.r.Config.GetDnsConfig(),
	})
}

// hostname is the pod's, empty for the host's.
func (p *pod) hostname() string { return etcfiles.Hostname(p.r.Config, p.r.NetNS == "") }

// maxProcs is how many threads of wasm-task run Go at once. It cannot find out
// itself: it sees no /proc.
func maxProcs() string { return strconv.Itoa(min(runtime.NumCPU(), 4)) }
