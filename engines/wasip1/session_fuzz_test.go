package wasip1

import (
	"bytes"
	"encoding/binary"
	"slices"
	"strings"
	"testing"
	"time"
)

// session is the arguments of a row of calls, in the form that FuzzSession reads.
type session []byte

// call adds a call; every argument is taken as it is.
func (s session) call(name string, args ...uint64) session {
	s = append(s, byte(slices.IndexFunc(Functions(), func(f Function) bool { return f.Name == name })))
	for _, a := range args {
		s = binary.LittleEndian.AppendUint64(append(s, rawArgument), a)
	}
	return s
}

// Below it, an argument's first byte is a descriptor or a flag; from it on one of
// somewhere.
const (
	rawArgument = 0x80 // eight bytes follow
	somewhere   = 0x81
)

// places are addresses at which there is something, and one at which there is not.
var places = []uint64{atPath, atPath2, atResult, atIovecs, atData, memSize - 4, memSize, 1 << 32}

// maxSession is how many calls a session has at most.
const maxSession = 64

// FuzzSession makes many calls in one world, each finding what those before it left:
// descriptors that were closed, renumbered or moved away, directories half read,
// files removed while they are open.
func FuzzSession(f *testing.F) {
	open := func(s session, fd, oflags uint64) session {
		return s.call("path_open", fd, 0, atPath, 1, oflags, ^uint64(0)>>35, ^uint64(0)>>35, 0, atResult)
	}
	f.Add([]byte(open(nil, 3, oflagDirectory).call("fd_readdir", 4, atData, 40, 0, atResult).call("path_remove_directory", 3, atPath, 1).call("fd_readdir", 4, atData, 400, 1, atResult)), "a")
	f.Add([]byte(open(nil, 3, oflagCreat).call("fd_renumber", 4, 3).call("fd_write", 3, atIovecs, 1, atResult).call("fd_close", 3).call("fd_prestat_get", 3, atResult)), "new")
	f.Add([]byte(session(nil).call("path_symlink", atPath, 9, 3, atPath, 1).call("path_open", 3, 1, atPath, 9, 0, 2, 2, 0, atResult).call("fd_read", 4, atIovecs, 1, atResult)), "../secret")
	f.Add([]byte(session(nil).call("path_rename", 3, atPath, 1, 3, atPath, 9).call("fd_close", 3).call("path_create_directory", 3, atPath, 9)), "a/../../b")
	f.Fuzz(func(t *testing.T, script []byte, path string) {
		if len(path) > 0x1000 {
			return
		}
		dir, check := besideSecret(t)
		r, out := pair(t)
		defer func() { _ = r.Close() }()
		s, err := New(Config{Stdout: out, Preopens: []Preopen{{Guest: "/", Dir: openDir(t, dir)}}, MaxDescriptors: 32})
		if err != nil {
			t.Fatal(err)
		}
		mem := make([]byte, memSize)
		copy(mem[atPath:], path)
		copy(mem[atPath2:], path)
		for i := range 4 { // vectors of 64 bytes
			binary.LittleEndian.PutUint32(mem[atIovecs+8*i:], uint32(atData+64*i))
			binary.LittleEndian.PutUint32(mem[atIovecs+8*i+4:], 64)
		}
		timer := time.AfterFunc(50*time.Millisecond, s.Kill)
		in := bytes.NewBuffer(script)
		for range maxSession {
			which, err := in.ReadByte()
			if err != nil {
				break
			}
			fn := Functions()[int(which)%len(Functions())]
			args := make([]uint64, len(fn.Params))
			for i := range args {
				args[i] = argument(in)
			}
			if fn.Name == "fd_allocate" {
				args[1], args[2] = args[1]%(1<<20), args[2]%(1<<20) // the disk is not the target
			}
			fn.Call(s, mem, args)
			if n := s.panics.Load(); n > 0 {
				t.Fatalf("%s%v panicked", fn.Name, args)
			}
		}
		timer.Stop()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if strings.Contains(string(mem), secret) && !strings.Contains(path, secret) {
			t.Error("the secret was read")
		}
		check()
	})
}

// argument reads one argument.
func argument(in *bytes.Buffer) uint64 {
	b, err := in.ReadByte()
	switch {
	case err != nil:
		return 0
	case b < rawArgument:
		return uint64(b)
	case b == rawArgument:
		var raw [8]byte
		copy(raw[:], in.Next(8))
		return binary.LittleEndian.Uint64(raw[:])
	}
	return places[int(b-somewhere)%len(places)]
}
