package prockind

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"syscall"
)

// guest is what runs in a container: the programs of sandboxtest.
func guest(args []string) int {
	if len(args) == 0 {
		fmt.Fprintln(os.Stderr, "no program")
		return 2
	}
	arg := func(i int) string {
		if i < len(args) {
			return args[i]
		}
		return ""
	}
	n, _ := strconv.Atoi(arg(1)) // zero does for programs without a number
	switch args[0] {
	case "exit":
		return n
	case "sleep":
		signal.Reset()
		fmt.Println("sleeping")
		for {
			_ = syscall.Pause() // it ends with a signal
		}
	case "deaf":
		signal.Ignore(syscall.SIGTERM, syscall.SIGINT)
		fmt.Println("deaf")
		for {
			_ = syscall.Pause() // it ends with a signal
		}
	case "spin":
		for i := 0; ; i++ {
			_ = i
		}
	case "cat":
		if _, err := io.Copy(os.Stdout, os.Stdin); err != nil {
			return 1
		}
		return 0
	case "echo":
		fmt.Println(arg(1))
		fmt.Fprintln(os.Stderr, arg(2))
		return 0
	case "fill":
		return fill(n)
	default:
		fmt.Fprintf(os.Stderr, "unknown program %q\n", args[0])
		return 2
	}
}

// fill writes n bytes that repeat 0…250.
func fill(n int) int {
	var pattern [251]byte
	for i := range pattern {
		pattern[i] = byte(i)
	}
	block := bytes.Repeat(pattern[:], 256)
	for n > 0 {
		m, err := os.Stdout.Write(block[:min(n, len(block))])
		if err != nil {
			return 1
		}
		n -= m
	}
	return 0
}
