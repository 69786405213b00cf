//go:build wasip1

package main

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// serve answers HTTP requests, one per connection, on the first listener that the
// environment names. When that is closed it finishes what it has accepted and ends. net/http would make
// the module, and with it every test, three times as slow to compile.
func serve([]string) error {
	// Listeners come behind the preopened directories, however many there are.
	fd, err := strconv.Atoi(os.Getenv("BLAZAR_LISTEN_FDS"))
	if err != nil {
		return err
	}
	// A guest has one thread: without this an accept would hold up everything else.
	if err := syscall.SetNonblock(fd, true); err != nil {
		return err
	}
	listener, err := net.FileListener(os.NewFile(uintptr(fd), "listener"))
	if err != nil {
		return err
	}
	fmt.Println("serving")
	var open sync.WaitGroup
	for {
		c, err := listener.Accept()
		if err != nil {
			open.Wait()
			fmt.Println("drained")
			return nil
		}
		open.Go(func() {
			defer c.Close()
			answer(c)
		})
	}
}

func answer(c net.Conn) {
	in := bufio.NewReader(c)
	request, err := in.ReadString('\n')
	if err != nil {
		return
	}
	for line := request; err == nil && strings.TrimSpace(line) != ""; {
		line, err = in.ReadString('\n')
	}
	body := "hello over http\n"
	if _, name, ok := strings.Cut(request, "GET /cat"); ok {
		b, err := os.ReadFile(strings.TrimSuffix(strings.TrimSpace(name), " HTTP/1.1"))
		if body = string(b); err != nil {
			body = "error: " + err.Error()
		}
	}
	if strings.HasPrefix(request, "GET /slow ") {
		fmt.Println("working")
		time.Sleep(time.Second)
		body = "slow answer\n"
	}
	fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s", len(body), body)
}
