package wazero

import (
	"fmt"
	"math"

	"blazar/engines/internal/wasmbin"

	"github.com/containerd/errdefs"
)

// tableBudget bounds the elements of all tables of a module together. wazero
// keeps tables on the Go heap at 8 bytes an element, where no memory limit of
// the guest reaches them.
const tableBudget = 1 << 20

// instrumentation names what instrument does; part of the cache key.
const instrumentation = "calls+tables+names-2"

// instrument rewrites a core module so that wazero can always end it, its tables
// stay small, and nothing is kept that no one reads.
//
// The input need not be valid: what is malformed in a way that matters here is an
// error, everything else is left for wazero's validation to refuse.
func instrument(module []byte, sections []wasmbin.Section) ([]byte, error) {
	out := make([]byte, 0, len(module)+len(module)/16)
	out = append(out, module[:wasmbin.HeaderSize]...)
	emit := func(id byte, body []byte) {
		out = append(out, id)
		out = wasmbin.AppendU32(out, uint32(len(body)))
		out = append(out, body...)
	}
	counter, err := newCallCounter(sections)
	if err != nil {
		return nil, err
	}
	budget := uint64(tableBudget)
	for _, s := range sections {
		body, err := s.Body, error(nil)
		if counter.missing(s.ID) {
			emit(wasmbin.SectionGlobal, counter.define(nil))
		}
		switch s.ID {
		case wasmbin.SectionCustom:
			if body = usefulNames(body); body == nil {
				continue
			}
		case wasmbin.SectionGlobal:
			body = counter.define(body)
		case wasmbin.SectionCode:
			body, err = counter.count(body)
		case wasmbin.SectionTable:
			body, err = boundTables(body, &budget)
		}
		if err != nil {
			return nil, err
		}
		emit(s.ID, body)
	}
	return out, nil
}

// boundTables rewrites the table section: every table gets a maximum, and what
// all may grow to together stays within the budget.
func boundTables(section []byte, budget *uint64) ([]byte, error) {
	type table struct {
		elem     byte
		min, max uint64
	}
	r := wasmbin.Reader{Rest: section}
	var tables []table
	for n := r.U32(); n > 0 && r.Err == nil; n-- {
		t := table{elem: r.Byte(), max: math.MaxUint32}
		flags := r.Byte()
		if t.elem != 0x70 && t.elem != 0x6f || flags > 1 {
			return section, nil // of a proposal that is off: wazero refuses it by name
		}
		t.min = uint64(r.U32())
		if flags == 1 {
			t.max = uint64(r.U32())
			if t.max < t.min {
				return section, nil
			}
		}
		if t.min > *budget {
			return nil, fmt.Errorf("the module's tables have more than %d elements, which is the limit of the engine wazero: %w",
				tableBudget, errdefs.ErrInvalidArgument)
		}
		*budget -= t.min
		tables = append(tables, t)
	}
	if r.Err != nil {
		return nil, fmt.Errorf("table section: %w", r.Err)
	}
	out := wasmbin.AppendU32(nil, uint32(len(tables)))
	share := *budget / uint64(max(len(tables), 1))
	for _, t := range tables {
		growth := min(t.max-t.min, share)
		*budget -= growth
		out = append(out, t.elem, 1)
		out = wasmbin.AppendU64(out, t.min)
		out = wasmbin.AppendU64(out, t.min+growth)
	}
	return append(out, r.Rest...), nil
}
