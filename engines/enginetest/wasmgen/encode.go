package wasmgen

func join(parts ...[]byte) []byte {
	var out []byte
	for _, p := range parts {
		out = append(out, p...)
	}
	return out
}

func u32(v uint32) []byte {
	var b []byte
	for v >= 0x80 {
		b = append(b, byte(v)|0x80)
		v >>= 7
	}
	return append(b, byte(v))
}

func sleb(v int64) []byte {
	var b []byte
	for {
		c := byte(v & 0x7f)
		v >>= 7
		if v == 0 && c&0x40 == 0 || v == -1 && c&0x40 != 0 {
			return append(b, c)
		}
		b = append(b, c|0x80)
	}
}

func str(s string) []byte { return join(u32(uint32(len(s))), []byte(s)) }

func vec(items [][]byte) []byte { return join(u32(uint32(len(items))), join(items...)) }

func valueTypes(types []ValueType) []byte {
	out := u32(uint32(len(types)))
	for _, t := range types {
		out = append(out, byte(t))
	}
	return out
}

func limits(least, most int) []byte {
	if most < 0 {
		return join([]byte{0}, u32(uint32(least)))
	}
	return join([]byte{1}, u32(uint32(least)), u32(uint32(most)))
}
