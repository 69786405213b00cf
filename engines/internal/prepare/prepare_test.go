package prepare

import (
	"testing"

	"github.com/containerd/errdefs"
)

func TestBoundTables(t *testing.T) {
	for name, c := range map[string]struct{ in, want string }{
		"Unbounded":   {"\x01\x70\x00\x05", "\x01\x70\x01\x05\x80\x80\x40"}, // 5 to 2^20
		"KeepsSmall":  {"\x01\x70\x01\x01\x02", "\x01\x70\x01\x01\x02"},
		"CutsMaximum": {"\x01\x70\x01\x00\xff\xff\xff\xff\x0f", "\x01\x70\x01\x00\x80\x80\x40"},
		"Shares":      {"\x02\x70\x00\x00\x6f\x00\x00", "\x02\x70\x01\x00\x80\x80\x20\x6f\x01\x00\x80\x80\x20"}, // 2^19 each
		"Foreign":     {"\x01\x70\x03\x01\x02", "\x01\x70\x03\x01\x02"},                                         // shared: refused by the engine
	} {
		t.Run(name, func(t *testing.T) {
			budget := uint64(TableBudget)
			got, err := BoundTables([]byte(c.in), &budget)
			if err != nil || string(got) != c.want {
				t.Errorf("got % x, %v; want % x", got, err, c.want)
			}
		})
	}
	budget := uint64(TableBudget)
	if _, err := BoundTables([]byte("\x01\x70\x00\x81\x80\x40"), &budget); !errdefs.IsInvalidArgument(err) {
		t.Errorf("a table of 2^20+1 elements: %v, want invalid argument", err)
	}
}

func TestUsefulNames(t *testing.T) {
	const functions = "\x01\x04\x01\x00\x01f"
	for name, c := range map[string]struct{ in, want string }{
		"Kept":          {"\x04name\x00\x02\x01m" + functions, "\x04name\x00\x02\x01m" + functions},
		"LocalsDropped": {"\x04name" + functions + "\x02\x01\x00", "\x04name" + functions},
		"OtherSection":  {"\x05.info" + functions, ""},
		"LongName":      {"\x04name\x01\x08\x01\x00\xff\xff\xff\xff\x0f" + "f", ""},
		"LongList":      {"\x04name\x01\x06\xff\xff\xff\xff\x0f\x00", ""},
		"CutShort":      {"\x04name\x01\x05\x01", ""},
		"Twice":         {"\x04name" + functions + functions, ""},
		"NotUTF8":       {"\x04name\x00\x02\x01\xff", ""},
		"Empty":         {"", ""},
	} {
		if got := UsefulNames([]byte(c.in)); string(got) != c.want {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
}
