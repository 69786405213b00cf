package doctor

import "context"

// localPullSince is the containerd that pulls with its transfer service unless
// told otherwise, and then does not unpack images of another operating system.
var localPullSince = release{2, 3}

func checkImagePull(_ context.Context, h *Host) []Result {
	const name = "image pull"
	if h.File == nil {
		return warn(name, "containerd's configuration file was not read", fileRemedy(h))
	}
	if h.Containerd != nil {
		if v, known := parseRelease(h.Containerd.Version); known && !v.atLeast(localPullSince.major, localPullSince.minor) {
			return ok(name, "unpacks wasm images (containerd "+v.String()+")")
		}
	}
	if h.File.UseLocalImagePull {
		return ok(name, "use_local_image_pull is on")
	}
	return warn(name, "use_local_image_pull is off", "set it to true in [plugins.'io.containerd.cri.v1.images']: without it a pull through CRI does not unpack images of platform wasi/wasm, and their containers fail with `parent snapshot … does not exist` (`blazar install` sets it); linux images and artifacts are not affected")
}
