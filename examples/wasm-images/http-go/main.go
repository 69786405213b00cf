// Command http-go is an HTTP server on the listeners that Blazar opened for the pod.
//
// A guest cannot open sockets. It finds the descriptors of its listeners in
// BLAZAR_LISTEN_FDS, separated by commas.
package main

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run() error {
	listeners, err := listeners(os.Getenv("BLAZAR_LISTEN_FDS"))
	if err != nil {
		return err
	}
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprintf(w, "hello from Go, you asked for %s\n", r.URL.Path) // the client went away
	})
	ended := make(chan error, len(listeners))
	for _, l := range listeners {
		go func() { ended <- http.Serve(l, nil) }()
	}
	fmt.Printf("serving on %d listeners\n", len(listeners))
	// SIGTERM closes the listeners of a pod: that is the sign to finish.
	for range listeners {
		if err := <-ended; err != nil && !errors.Is(err, net.ErrClosed) {
			fmt.Println("listener ended:", err)
		}
	}
	fmt.Println("bye")
	return nil
}

func listeners(fds string) ([]net.Listener, error) {
	if fds == "" {
		return nil, errors.New("no listener: give the pod the annotation blazar/listen: tcp:8080")
	}
	var all []net.Listener
	for word := range strings.SplitSeq(fds, ",") {
		fd, err := strconv.Atoi(word)
		if err != nil {
			return nil, fmt.Errorf("BLAZAR_LISTEN_FDS: %w", err)
		}
		f := os.NewFile(uintptr(fd), "listener")
		l, err := net.FileListener(f)
		if err != nil {
			return nil, fmt.Errorf("descriptor %d: %w", fd, err)
		}
		all = append(all, l)
	}
	return all, nil
}
