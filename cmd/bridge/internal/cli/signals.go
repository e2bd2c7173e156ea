package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"
)

// stopper turns signals into the two ways of stopping: the first drains what
// was taken, the second ends the process at once with 128 plus its number.
type stopper struct {
	intake context.Context // ends at the first signal
	stop   context.CancelFunc
	stderr io.Writer
	exit   func(int)

	signals chan os.Signal
	done    chan struct{}
	wg      sync.WaitGroup
}

func newStopper(stderr io.Writer, exit func(int)) *stopper {
	s := &stopper{stderr: stderr, exit: exit, signals: make(chan os.Signal, 2), done: make(chan struct{})}
	s.intake, s.stop = context.WithCancel(context.Background())
	signal.Notify(s.signals, os.Interrupt, syscall.SIGTERM)
	s.wg.Go(s.watch) // owned: close ends it and waits
	return s
}

func (s *stopper) watch() {
	for n := 1; ; n++ {
		select {
		case sig := <-s.signals:
			if n == 1 {
				_, _ = fmt.Fprintf(s.stderr, "bridge: %v: finishing what was taken; once more stops at once\n", sig)
				s.stop()
				continue
			}
			number, ok := sig.(syscall.Signal)
			if !ok { // every signal that is asked for above is one
				number = syscall.SIGTERM
			}
			s.exit(128 + int(number))
		case <-s.done:
			return
		}
	}
}

func (s *stopper) close() {
	signal.Stop(s.signals)
	close(s.done)
	s.wg.Wait()
	s.stop()
}

// bounded returns a context that ends after grace once intake has ended: the
// longest time that draining may take. The returned function frees it.
func bounded(intake context.Context, grace time.Duration) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(context.Background())
	var mu sync.Mutex
	var timer *time.Timer
	stop := context.AfterFunc(intake, func() {
		mu.Lock()
		defer mu.Unlock()
		timer = time.AfterFunc(grace, cancel)
	})
	return ctx, func() {
		stop()
		mu.Lock()
		defer mu.Unlock()
		if timer != nil {
			timer.Stop()
		}
		cancel()
	}
}
