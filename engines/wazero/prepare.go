package wazero

import "blazar/engines/internal/prepare"

// prepared is a module in the form that is compiled.
type prepared struct {
	module []byte
	shape  prepare.Shape
}

// newPrepared checks what wazero would only find when an instance is made, or
// would say less clearly, and rewrites the module.
func newPrepared(module []byte) (prepared, error) {
	sections, outline, err := prepare.Check(Name, module)
	if err != nil {
		return prepared{}, err
	}
	module, err = instrument(module, sections)
	return prepared{module, prepare.ShapeOf(outline)}, err
}
