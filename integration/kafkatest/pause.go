package kafkatest

import (
	"context"
	"errors"
	"fmt"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"
)

var errDown = errors.New("the broker is down")

// Pause stops the broker in the middle of what it does, as a node does that
// swaps or whose disk hangs: connections stay and new ones are taken by the
// system, and nothing is answered. A paused broker must be resumed before
// anything else but the end of the test.
func (c *Cluster) Pause() error {
	return c.with(func(b broker) error { return b.pause() })
}

// Resume lets a paused broker go on. One that is not paused goes on anyway.
func (c *Cluster) Resume() error {
	return c.with(func(b broker) error { return b.resume() })
}

func (b *local) pause() error  { return b.frozen(true) }
func (b *local) resume() error { return b.frozen(false) }

func (b *local) frozen(on bool) error {
	if b.proc == nil {
		return errDown
	}
	if err := freeze(b.proc.cmd.Process, on); err != nil {
		return fmt.Errorf("pause (%t) process %d: %w", on, b.proc.cmd.Process.Pid, err)
	}
	return nil
}

func (b *contained) pause() error {
	if !b.up {
		return errDown
	}
	ctx, cancel := context.WithTimeout(context.Background(), stopTime)
	defer cancel()
	if _, err := b.engine.Client().ContainerPause(ctx, b.ctr.GetContainerID(), client.ContainerPauseOptions{}); err != nil {
		return fmt.Errorf("pause the Kafka container: %w", err)
	}
	return nil
}

func (b *contained) resume() error {
	if !b.up {
		return errDown
	}
	ctx, cancel := context.WithTimeout(context.Background(), stopTime)
	defer cancel()
	state, err := b.ctr.State(ctx)
	if err == nil && state.Status == container.StatePaused {
		_, err = b.engine.Client().ContainerUnpause(ctx, b.ctr.GetContainerID(), client.ContainerUnpauseOptions{})
	}
	if err != nil {
		return fmt.Errorf("resume the Kafka container: %w", err)
	}
	return nil
}
