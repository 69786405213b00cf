// Command task is what the tests of tasks run, as a wasm guest and as a Linux program:
// its first argument says what to do.
package main

import (
	"bytes"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"
)

var commands = map[string]func(args []string) error{
	"forever": func(args []string) error {
		for _, a := range args {
			fmt.Println(a)
		}
		time.Sleep(time.Hour)
		return nil
	},
	"stubborn": func([]string) error {
		signal.Ignore(syscall.SIGTERM)
		fmt.Println("stubborn")
		time.Sleep(time.Hour)
		return nil
	},
	"exit":  func(args []string) error { return exit(args[0]) },
	"ticks": ticks,
	"burst": burst,
	"cat":   func([]string) error { _, err := io.Copy(os.Stdout, os.Stdin); return err },
	"echo":  func(args []string) error { fmt.Println(args[0]); return nil },
	"date":  func([]string) error { fmt.Println(time.Now().Unix()); return nil },
	"hash":  hash,
	"take":  take,
}

func main() {
	if len(os.Args) < 2 || commands[os.Args[1]] == nil {
		fmt.Fprintf(os.Stderr, "unknown command: %q\n", os.Args)
		os.Exit(64)
	}
	if err := commands[os.Args[1]](os.Args[2:]); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func exit(code string) error {
	n, err := strconv.Atoi(code)
	if err == nil {
		os.Exit(n)
	}
	return err
}

// ticks writes 50 lines and ends with 7.
func ticks([]string) error {
	for i := range 50 {
		fmt.Println("tick", i+1)
	}
	return exit("7")
}

// burst writes so many bytes, 0 to 255 again and again, and ends at once with a code.
func burst(args []string) error {
	size, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	block := make([]byte, 64<<10)
	for i := range block {
		block[i] = byte(i)
	}
	for size > 0 {
		n, err := os.Stdout.Write(block[:min(size, len(block))])
		if err != nil {
			return err
		}
		size -= n
	}
	return exit(args[1])
}

// hash prints the CRC-32 (Castagnoli) of a file.
func hash(args []string) error {
	f, err := os.Open(args[0])
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // only read from
	sum := crc32.New(crc32.MakeTable(crc32.Castagnoli))
	if _, err := io.CopyBuffer(sum, f, make([]byte, 1<<20)); err != nil {
		return err
	}
	fmt.Printf("%08x\n", sum.Sum32())
	return nil
}

// take takes memory until there is no more.
func take([]string) error {
	var kept [][]byte
	for {
		kept = append(kept, bytes.Repeat([]byte{1}, 1<<20))
		if len(kept)%16 == 0 {
			fmt.Println("MiB:", len(kept))
		}
	}
}
