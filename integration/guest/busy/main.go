//go:build wasip1

// Command busy is the guest of most integration tests: its first argument says what
// to do, so that one module shows every behaviour.
package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"
)

var commands = map[string]func(args []string) error{
	"hello": func([]string) error { fmt.Println("hello from wasm"); return nil },
	"exit": func(args []string) error {
		code, err := strconv.Atoi(args[0])
		if err == nil {
			os.Exit(code)
		}
		return err
	},
	"env":   func([]string) error { fmt.Println(strings.Join(os.Environ(), "\n")); return nil },
	"args":  func([]string) error { fmt.Printf("%q\n", os.Args); return nil },
	"cwd":   cwd,
	"sleep": func([]string) error { fmt.Println("sleeping"); time.Sleep(time.Hour); return nil },
	"spin":  spin,
	"lines": lines,
	"cat":   cat,
	"write": func(args []string) error { return os.WriteFile(args[0], []byte(args[1]+"\n"), 0o644) },
	"ls":    ls,
	"serve": serve,
	"leak":  leak,
	"grow":  grow,
	"both":  both,
	"wait":  wait,
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

func cwd([]string) error {
	dir, err := os.Getwd()
	fmt.Println(dir)
	return err
}

// spin works for ever, or for so many milliseconds, without a system call in between.
func spin(args []string) error {
	fmt.Println("spinning")
	end := time.Now().Add(time.Hour)
	if len(args) > 0 {
		ms, err := strconv.Atoi(args[0])
		if err != nil {
			return err
		}
		end = time.Now().Add(time.Duration(ms) * time.Millisecond)
	}
	var x uint64 = 1
	for time.Now().Before(end) {
		for range 1 << 20 {
			x = x*6364136223846793005 + 1
		}
	}
	fmt.Println("spun", x != 0)
	return nil
}

// lines repeats its input until the end of it.
func lines([]string) error {
	fmt.Println("reading")
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		fmt.Println("read:", in.Text())
	}
	fmt.Println("end of input")
	return in.Err()
}

func cat(args []string) error {
	for _, name := range args {
		b, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		if _, err := os.Stdout.Write(b); err != nil {
			return err
		}
	}
	return nil
}

func ls(args []string) error {
	entries, err := os.ReadDir(args[0])
	for _, e := range entries {
		fmt.Println(e.Name())
	}
	return err
}

// leak takes memory until it is refused any.
func leak([]string) error {
	var kept [][]byte
	for i := 0; ; i++ {
		b := make([]byte, 1<<20)
		for j := range b {
			b[j] = byte(i)
		}
		kept = append(kept, b)
		if i%16 == 0 {
			fmt.Println("MiB:", len(kept))
		}
	}
}

// grow takes so many MiB of memory, waits for a file and takes so many more.
func grow(args []string) error {
	var kept [][]byte
	take := func(mib string) error {
		n, err := strconv.Atoi(mib)
		for range n {
			b := make([]byte, 1<<20)
			b[0] = 1
			kept = append(kept, b)
		}
		fmt.Println("MiB:", len(kept))
		return err
	}
	if err := take(args[0]); err != nil {
		return err
	}
	for {
		if _, err := os.Stat(args[1]); err == nil {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	if err := take(args[2]); err != nil {
		return err
	}
	time.Sleep(time.Hour)
	return nil
}

func both([]string) error {
	fmt.Fprintln(os.Stdout, "to stdout")
	_, err := io.WriteString(os.Stderr, "to stderr\n")
	return err
}

// wait waits until a file is there, then prints it.
func wait(args []string) error {
	for {
		if _, err := os.Stat(args[0]); err == nil {
			return cat(args)
		}
		time.Sleep(20 * time.Millisecond)
	}
}
