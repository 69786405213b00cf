package confine

import (
	"fmt"
	"slices"

	"github.com/containerd/errdefs"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// FilterOptions shape the seccomp filter.
type FilterOptions struct {
	// OwnPid is the process's pid in its own pid namespace; 0 means 1, which it
	// always is after Start.
	OwnPid uint32
}

// Filter builds the seccomp filter of confined processes for this architecture: it
// lets pass what the Go runtime, the engines and the WASI layer need and answers
// everything else with an errno, EPERM unless a library expects another. Deadly is
// only a call of another architecture. docs of the calls: syscalls.go.
func Filter(o FilterOptions) ([]bpf.RawInstruction, error) {
	if auditArch == 0 {
		return nil, fmt.Errorf("seccomp filter: no list of system calls for this architecture: %w", errdefs.ErrNotImplemented)
	}
	pid := o.OwnPid
	if pid == 0 {
		pid = 1
	}
	return bpf.Assemble(assemble(slices.Concat(plain, archPlain), conditional(pid), fallbacks))
}

// Return values of a filter and offsets in struct seccomp_data, linux/seccomp.h.
const (
	retAllow       = 0x7fff0000
	retErrno       = 0x00050000
	retKillProcess = 0x80000000

	offsetNr   = 0
	offsetArch = 4
	offsetArgs = 16
)

// match is true when the lower half of an argument, masked, equals one of values.
// All arguments compared here are 32 bits wide in the kernel, or are flags whose
// upper half the kernel ignores, so a caller gains nothing by setting the rest.
type match struct {
	arg    uint32
	mask   uint32
	values []uint32
}

// clause is true when all of its matches are.
type clause []match

// rule lets a system call pass when one of its clauses is true.
type rule struct {
	nr      uint32
	clauses []clause
}

// assemble writes the program. No block falls out at its end with an argument in
// the accumulator: each ends in a return, so that what follows compares with the
// number of the call again.
func assemble(plain []uint32, rules []rule, errnos map[uint32]unix.Errno) []bpf.Instruction {
	p := []bpf.Instruction{
		bpf.LoadAbsolute{Off: offsetArch, Size: 4},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: auditArch, SkipTrue: 1},
		bpf.RetConstant{Val: retKillProcess},
		bpf.LoadAbsolute{Off: offsetNr, Size: 4},
		// x32 calls have the architecture of amd64 and numbers from here on.
		bpf.JumpIf{Cond: bpf.JumpLessThan, Val: 0x40000000, SkipTrue: 1},
		bpf.RetConstant{Val: retErrno | uint32(unix.ENOSYS)},
	}
	p = append(p, allowed(plain)...)
	for _, r := range rules {
		b := block(r)
		p = append(p, bpf.JumpIf{Cond: bpf.JumpEqual, Val: r.nr, SkipTrue: 1}, bpf.Jump{Skip: uint32(len(b))})
		p = append(p, b...)
	}
	nrs := make([]uint32, 0, len(errnos))
	for nr := range errnos {
		nrs = append(nrs, nr)
	}
	slices.Sort(nrs)
	for _, nr := range nrs {
		p = append(p, bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: nr, SkipTrue: 1}, bpf.RetConstant{Val: retErrno | uint32(errnos[nr])})
	}
	return append(p, bpf.RetConstant{Val: retErrno | uint32(unix.EPERM)})
}

// allowed lets the calls pass, as ranges of numbers.
func allowed(nrs []uint32) []bpf.Instruction {
	nrs = slices.Clone(nrs)
	slices.Sort(nrs)
	var p []bpf.Instruction
	for i := 0; i < len(nrs); {
		j := i
		for j+1 < len(nrs) && nrs[j+1] <= nrs[j]+1 {
			j++
		}
		if nrs[i] == nrs[j] {
			p = append(p, bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: nrs[i], SkipTrue: 1})
		} else {
			p = append(p,
				bpf.JumpIf{Cond: bpf.JumpLessThan, Val: nrs[i], SkipTrue: 2},
				bpf.JumpIf{Cond: bpf.JumpGreaterThan, Val: nrs[j], SkipTrue: 1})
		}
		p = append(p, bpf.RetConstant{Val: retAllow})
		i = j + 1
	}
	return p
}

// block is the code of a rule, from where its call was recognized to the return.
func block(r rule) []bpf.Instruction {
	var p []bpf.Instruction
	for _, c := range r.clauses {
		p = append(p, c.code()...)
	}
	return append(p, bpf.RetConstant{Val: retErrno | uint32(unix.EPERM)})
}

// code returns allow if the clause is true and goes on after its end otherwise.
func (c clause) code() []bpf.Instruction {
	p := []bpf.Instruction{bpf.RetConstant{Val: retAllow}}
	for _, m := range slices.Backward(c) { // from the end, so that distances are known
		q := []bpf.Instruction{bpf.LoadAbsolute{Off: offsetArgs + 8*m.arg, Size: 4}}
		if m.mask != ^uint32(0) {
			q = append(q, bpf.ALUOpConstant{Op: bpf.ALUOpAnd, Val: m.mask})
		}
		for i, v := range m.values {
			q = append(q, bpf.JumpIf{Cond: bpf.JumpEqual, Val: v, SkipTrue: uint8(len(m.values) - i)})
		}
		p = append(append(q, bpf.Jump{Skip: uint32(len(p))}), p...)
	}
	return p
}
