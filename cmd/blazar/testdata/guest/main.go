// Command guest is the program that the run scripts run.
package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"time"
)

func main() {
	if len(os.Args) < 2 {
		fmt.Println("hello from", os.Args[0])
		return
	}
	switch args := os.Args[2:]; os.Args[1] {
	case "args":
		fmt.Printf("%q\n", args)
	case "env":
		fmt.Println(strings.Join(os.Environ(), "\n"))
	case "pwd":
		dir, err := os.Getwd()
		check(err)
		fmt.Println(dir)
	case "cat":
		for _, name := range args {
			b, err := os.ReadFile(name)
			check(err)
			_, _ = os.Stdout.Write(b)
		}
	case "write":
		check(os.WriteFile(args[0], []byte(args[1]+"\n"), 0o644))
	case "upper":
		b, err := io.ReadAll(os.Stdin)
		check(err)
		fmt.Print(strings.ToUpper(string(b)))
	case "exit":
		code, err := strconv.Atoi(args[0])
		check(err)
		os.Exit(code)
	case "sleep":
		fmt.Println("ready")
		time.Sleep(time.Hour)
	case "spin":
		fmt.Println("ready")
		for {
		}
	case "leak":
		var all [][]byte
		for {
			all = append(all, make([]byte, 1<<20))
		}
	case "serve":
		serve(args[0])
	}
}

// serve answers connections on the listener that the host made, descriptor fd.
func serve(fd string) {
	n, err := strconv.Atoi(fd)
	check(err)
	l, err := net.FileListener(os.NewFile(uintptr(n), "listener"))
	check(err)
	fmt.Println("ready")
	for {
		c, err := l.Accept()
		if err != nil {
			fmt.Println("no longer listening")
			time.Sleep(50 * time.Millisecond) // what it still had to do
			fmt.Println("done")
			return
		}
		_, _ = fmt.Fprintln(c, "hello from the guest")
		_ = c.Close()
	}
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "guest:", err)
		os.Exit(1)
	}
}
