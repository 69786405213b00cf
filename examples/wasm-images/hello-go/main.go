// Command hello-go says hello, with what it was given. Nothing in it knows that it
// runs as WebAssembly.
package main

import (
	"fmt"
	"os"
	"runtime"
)

func main() {
	fmt.Printf("hello from Go, %s/%s\n", runtime.GOOS, runtime.GOARCH)
	for i, arg := range os.Args[1:] {
		fmt.Printf("argument %d: %s\n", i+1, arg)
	}
}
