package wazero

import (
	"blazar/engines/internal/prepare"
	"blazar/engines/internal/wasmbin"
)

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
	emit := func(id byte, body []byte) { out = wasmbin.AppendSection(out, id, body) }
	counter, err := newCallCounter(sections)
	if err != nil {
		return nil, err
	}
	budget := uint64(prepare.TableBudget)
	for _, s := range sections {
		body, err := s.Body, error(nil)
		if counter.missing(s.ID) {
			emit(wasmbin.SectionGlobal, counter.define(nil))
		}
		switch s.ID {
		case wasmbin.SectionCustom:
			if body = prepare.UsefulNames(body); body == nil {
				continue
			}
		case wasmbin.SectionGlobal:
			body = counter.define(body)
		case wasmbin.SectionCode:
			body, err = counter.count(body)
		case wasmbin.SectionTable:
			body, err = prepare.BoundTables(body, &budget)
		}
		if err != nil {
			return nil, err
		}
		emit(s.ID, body)
	}
	return out, nil
}
