package prepare

import (
	"fmt"
	"math"

	"blazar/engines/internal/wasmbin"

	"github.com/containerd/errdefs"
)

// TableBudget bounds the elements of all tables of a module together. Tables are
// memory of the host at 8 bytes or more an element, where no limit of the guest's
// linear memory reaches them.
const TableBudget = 1 << 20

// BoundTables rewrites the table section: every table gets a maximum, and what
// all may grow to together stays within the budget, from which it is taken.
func BoundTables(section []byte, budget *uint64) ([]byte, error) {
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
			return section, nil // of a proposal: the engine refuses it by name
		}
		t.min = uint64(r.U32())
		if flags == 1 {
			t.max = uint64(r.U32())
			if t.max < t.min {
				return section, nil
			}
		}
		if t.min > *budget {
			return nil, fmt.Errorf("the module's tables have more than %d elements, which is the limit: %w",
				TableBudget, errdefs.ErrInvalidArgument)
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
