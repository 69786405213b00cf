package throughput

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"blazar/bench/stats"
)

// load is what a number of clients saw in a time.
type load struct {
	took      time.Duration
	latencies []float64 // of answered requests, in nanoseconds
}

func (l load) perSecond() float64 { return float64(len(l.latencies)) / l.took.Seconds() }

// percentile is one of 50, 95, 99.
func (l load) percentile(p float64) float64 { return stats.Quantile(l.latencies, p/100) }

// longestAnswer bounds one request.
const longestAnswer = 30 * time.Second

// generate has a number of clients ask for url, each again as soon as it was answered,
// for a time. Connections are kept where the server keeps them. An answer that does
// not contain want is an error, and so is one that does not come.
func generate(ctx context.Context, url, want string, clients int, length time.Duration) (load, error) {
	transport := &http.Transport{MaxIdleConnsPerHost: clients, DisableCompression: true}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, Timeout: longestAnswer}
	all, errs := make([][]float64, clients), make([]error, clients)
	var over atomic.Bool
	begin := time.Now()
	timer := time.AfterFunc(length, func() { over.Store(true) })
	defer timer.Stop()
	var wg sync.WaitGroup
	for i := range clients {
		wg.Go(func() {
			for errs[i] == nil && !over.Load() {
				before := time.Now()
				if errs[i] = ask(ctx, client, url, want); errs[i] == nil {
					all[i] = append(all[i], float64(time.Since(before)))
				}
			}
			if errs[i] != nil {
				over.Store(true)
			}
		})
	}
	wg.Wait()
	l := load{took: time.Since(begin), latencies: slices.Concat(all...)}
	return l, errors.Join(errs...)
}

// ask makes one request.
func ask(ctx context.Context, client *http.Client, url, want string) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	answer, err := client.Do(r)
	if err != nil {
		return err
	}
	defer func() { _ = answer.Body.Close() }() // read to its end
	body, err := io.ReadAll(io.LimitReader(answer.Body, 1<<16))
	if err != nil {
		return err
	}
	if answer.StatusCode != http.StatusOK || !strings.Contains(string(body), want) {
		return fmt.Errorf("%s answers %s: %q", url, answer.Status, body)
	}
	return nil
}

// await asks until there is an answer: a server that has just been started.
func await(ctx context.Context, url, want string) error {
	ctx, cancel := context.WithTimeout(ctx, longestAnswer)
	defer cancel()
	for {
		err := ask(ctx, http.DefaultClient, url, want)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(10 * time.Millisecond):
		}
	}
}
