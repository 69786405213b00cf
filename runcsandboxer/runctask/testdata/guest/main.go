// Command guest is what the tests run in containers.
package main

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"syscall"
	"time"
)

func main() {
	args := os.Args[1:]
	switch args[0] {
	case "exit":
		n, err := strconv.Atoi(args[1])
		must(err)
		os.Exit(n)
	case "echo":
		fmt.Fprintln(os.Stdout, args[1])
		if len(args) > 2 {
			fmt.Fprintln(os.Stderr, args[2])
		}
	case "cat":
		_, err := io.Copy(os.Stdout, os.Stdin)
		must(err)
	case "fill":
		n, err := strconv.Atoi(args[1])
		must(err)
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(i % 251)
		}
		_, err = os.Stdout.Write(b)
		must(err)
	case "sleep":
		fmt.Println("sleeping")
		time.Sleep(time.Hour)
	case "spin":
		for {
		}
	case "deaf":
		signal.Ignore(syscall.SIGTERM)
		fmt.Println("deaf")
		time.Sleep(time.Hour)
	case "signal":
		must(syscall.Kill(os.Getpid(), syscall.SIGTERM))
		time.Sleep(time.Hour)
	case "size":
		var size [4]uint16
		for i := 0; i < 1000 && size[0] == 0; i++ {
			_, _, errno := syscall.Syscall(syscall.SYS_IOCTL, 0, syscall.TIOCGWINSZ, uintptr(pointer(&size)))
			if errno != 0 {
				must(errno)
			}
			time.Sleep(10 * time.Millisecond)
		}
		fmt.Println(size[1], size[0])
	case "eat": // a child eats memory until it is killed, then this one ends
		c := exec.Command("/proc/self/exe", "devour")
		err := c.Run()
		fmt.Println("child:", err)
		time.Sleep(time.Hour)
	case "devour":
		var all [][]byte
		for {
			b := make([]byte, 1<<20)
			for i := 0; i < len(b); i += 4096 {
				b[i] = 1
			}
			all = append(all, b)
			_ = all
		}
	case "child": // leaves a process behind
		c := exec.Command("/proc/self/exe", "sleep")
		c.Stdout = os.Stdout
		must(c.Start())
		fmt.Println("left")
	case "cwd":
		d, err := os.Getwd()
		must(err)
		fmt.Println(d, os.Getuid(), os.Getenv("SECRET"))
	default:
		must(fmt.Errorf("unknown program %q", args))
	}
}

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(99)
	}
}
