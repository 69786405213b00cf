package growhook

// Instructions calls visit for each instruction of a function's code, which is
// what follows the declarations of locals, with its opcode's first byte and where
// it begins and ends. Errors are those of Instrument.
func Instructions(code []byte, visit func(op byte, begin, end int)) error {
	r := &reader{b: code}
	for len(r.b) > 0 && r.err == nil {
		begin := len(code) - len(r.b)
		op := r.byte()
		instruction(r, op)
		if r.err == nil {
			visit(op, begin, len(code)-len(r.b))
		}
	}
	return r.err
}
