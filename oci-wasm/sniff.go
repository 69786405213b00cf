package ociwasm

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"
)

// Kind is what a file turned out to be.
type Kind string

// The kinds that Sniff tells apart.
const (
	KindModule    Kind = "WebAssembly module"
	KindComponent Kind = "WebAssembly component"
	KindTruncated Kind = "truncated WebAssembly module"
	KindMalformed Kind = "malformed WebAssembly module"
	KindText      Kind = "WebAssembly text"
	KindNative    Kind = "native binary"
	KindScript    Kind = "script"
	KindArchive   Kind = "compressed file or archive"
	KindEmpty     Kind = "empty file"
	KindUnknown   Kind = "file of unknown type"
)

const (
	// maxSections bounds the work on one module; real ones have a few dozen.
	maxSections = 1 << 16
	sniffBytes  = 512
	headerBytes = 8
	// lastCoreSection is the tag section, lastComponentSection the value section.
	lastCoreSection, lastComponentSection = 13, 12
)

var (
	wasmMagic      = []byte("\x00asm")
	coreVersion    = []byte{1, 0, 0, 0}
	componentLayer = []byte{1, 0} // bytes 6 and 7; 4 and 5 are the version
)

// Sniff tells what the size bytes in r are. It reads the beginning and, of
// WebAssembly, the headers of the outermost sections: enough to find a download
// that was cut off, no replacement for an engine's validation. Its work is
// bounded whatever the input. Errors are those of r alone.
func Sniff(r io.ReaderAt, size int64) (Kind, error) {
	k, _, err := sniff(r, size)
	return k, err
}

// sniff also returns a detail for people, which may be empty.
func sniff(r io.ReaderAt, size int64) (Kind, string, error) {
	if size <= 0 {
		return KindEmpty, "", nil
	}
	head := make([]byte, min(size, sniffBytes))
	if n, err := r.ReadAt(head, 0); n < len(head) {
		return KindUnknown, "", fmt.Errorf("reading the first %d bytes: %w", len(head), err)
	}
	if !bytes.HasPrefix(head, wasmMagic) {
		if len(head) < len(wasmMagic) && bytes.HasPrefix(wasmMagic, head) {
			return KindTruncated, fmt.Sprintf("%d bytes", size), nil
		}
		k, detail := sniffOther(head)
		return k, detail, nil
	}
	if size < headerBytes {
		return KindTruncated, fmt.Sprintf("%d bytes, the header alone has %d", size, headerBytes), nil
	}
	switch {
	case bytes.Equal(head[4:8], coreVersion):
		return walkSections(r, size, KindModule, lastCoreSection)
	case bytes.Equal(head[6:8], componentLayer):
		return walkSections(r, size, KindComponent, lastComponentSection)
	}
	return KindMalformed, fmt.Sprintf("unknown version %x", head[4:8]), nil
}

func walkSections(r io.ReaderAt, size int64, good Kind, last byte) (Kind, string, error) {
	off := int64(headerBytes)
	for n := 0; off < size; n++ {
		if n == maxSections {
			return KindMalformed, fmt.Sprintf("more than %d sections", maxSections), nil
		}
		var head [1 + binary.MaxVarintLen32]byte
		got, err := r.ReadAt(head[:min(int64(len(head)), size-off)], off)
		if err != nil && (got == 0 || !errors.Is(err, io.EOF)) {
			return KindUnknown, "", fmt.Errorf("reading a section header at offset %d: %w", off, err)
		}
		if head[0] > last {
			return KindMalformed, fmt.Sprintf("unknown section %d at offset %d", head[0], off), nil
		}
		length, width := binary.Uvarint(head[1:got])
		switch {
		case width == 0 && got < len(head):
			return KindTruncated, fmt.Sprintf("a section header at offset %d is cut off", off), nil
		case width <= 0 || length > 1<<32-1:
			return KindMalformed, fmt.Sprintf("bad section size at offset %d", off), nil
		}
		end := off + 1 + int64(width) + int64(length)
		if end > size {
			return KindTruncated, fmt.Sprintf("a section at offset %d needs %d bytes more than there are", off, end-size), nil
		}
		off = end
	}
	return good, "", nil
}

// sniffOther names what people put into images by mistake.
func sniffOther(head []byte) (Kind, string) {
	for _, m := range []struct {
		magic  string
		kind   Kind
		detail string
	}{
		{"\x7fELF", KindNative, "ELF"},
		{"MZ", KindNative, "PE"},
		{"\xcf\xfa\xed\xfe", KindNative, "Mach-O"},
		{"\xca\xfe\xba\xbe", KindNative, "Mach-O"},
		{"#!", KindScript, ""},
		{"\x1f\x8b", KindArchive, "gzip"},
		{"\x28\xb5\x2f\xfd", KindArchive, "zstd"},
		{"PK\x03\x04", KindArchive, "zip"},
	} {
		if bytes.HasPrefix(head, []byte(m.magic)) {
			return m.kind, m.detail
		}
	}
	if len(head) > 262 && bytes.Equal(head[257:262], []byte("ustar")) {
		return KindArchive, "tar"
	}
	text := bytes.TrimSpace(head)
	if utf8.Valid(text) && (bytes.HasPrefix(text, []byte("(module")) || bytes.HasPrefix(text, []byte("(component")) || bytes.HasPrefix(text, []byte(";;"))) {
		return KindText, ""
	}
	return KindUnknown, ""
}
