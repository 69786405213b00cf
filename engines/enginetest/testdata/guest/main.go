// Command guest is the Go program among the test guests.
package main

import (
	"bufio"
	"fmt"
	"os"
	"strings"
	"time"
)

func main() {
	switch os.Args[1] {
	case "echo": // arguments and environment, then every line of stdin in capitals
		fmt.Printf("%q %q\n", os.Args[2:], os.Environ())
		for s := bufio.NewScanner(os.Stdin); s.Scan(); {
			fmt.Println(strings.ToUpper(s.Text()))
		}
		fmt.Fprintln(os.Stderr, "bye")
		os.Exit(7)
	case "spin":
		fmt.Println("ready")
		for n := 0; ; n++ {
			if n < 0 {
				fmt.Println(n)
			}
		}
	case "sleep":
		fmt.Println("ready")
		time.Sleep(24 * time.Hour)
	case "leak":
		var all [][]byte
		for {
			b := make([]byte, 1<<20)
			for i := range b {
				b[i] = 1
			}
			all = append(all, b)
			if len(all) > 4096 {
				return
			}
		}
	}
}
