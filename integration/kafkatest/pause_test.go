package kafkatest

import (
	"context"
	"errors"
	"testing"
	"time"
)

// A paused broker takes connections and answers nothing; resumed, it goes on.
func TestPauseResume(t *testing.T) {
	c := Start(t)
	answers := func(within time.Duration) error {
		ctx, cancel := context.WithTimeout(t.Context(), within)
		defer cancel()
		return awaitBroker(ctx, nil, anyNode, c.Brokers()...)
	}
	if err := c.Pause(); err != nil {
		t.Fatal(err)
	}
	if err := answers(2 * time.Second); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a paused broker: got %v, want no answer in time", err)
	}
	for range 2 { // going on twice is going on
		if err := c.Resume(); err != nil {
			t.Fatal(err)
		}
		if err := answers(patience); err != nil {
			t.Error(err)
		}
	}
	if err := c.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(c.Pause(), c.Resume()); !errors.Is(err, errDown) {
		t.Errorf("pausing one that is down: got %v, want %v", err, errDown)
	}
}
