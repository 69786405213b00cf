package doctor

import (
	"context"
	"fmt"

	"golang.org/x/sys/unix"
)

const (
	kvmDevice = "/dev/kvm"
	// kvmAPI is the only version of the interface there will be; KVM's api.rst.
	kvmAPI = 12
	// kvmGetAPIVersion is KVM_GET_API_VERSION, _IO(0xAE, 0x00) of linux/kvm.h.
	kvmGetAPIVersion = 0xAE00
)

// checkKVM never fails: only pods in microVMs want KVM.
func checkKVM(_ context.Context, h *Host) []Result {
	const name = "kvm"
	v, err := h.Kernel.KVMVersion(h.path(kvmDevice))
	switch {
	case err != nil:
		return warn(name, err.Error(), "wasm pods do not need KVM; microVM pods run emulated, which is slow, until /dev/kvm exists (nested virtualization, or `modprobe kvm_amd` or `kvm_intel`)")
	case v != kvmAPI:
		return warn(name, fmt.Sprintf("API version %d, want %d", v, kvmAPI), "use a kernel whose KVM has API version 12")
	}
	return ok(name, "opens, API 12 (only a VM that boots proves that it works)")
}

// kvmVersion asks the device at path.
func kvmVersion(path string) (int, error) {
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return 0, fmt.Errorf("%s does not open: %w", path, err)
	}
	defer func() { _ = unix.Close(fd) }() // nothing was written
	v, err := unix.IoctlRetInt(fd, kvmGetAPIVersion)
	if err != nil {
		return 0, fmt.Errorf("%s is no KVM: %w", path, err)
	}
	return v, nil
}
