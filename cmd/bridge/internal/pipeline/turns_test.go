package pipeline

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

// Rows leave the committer free for events behind each commit of theirs, while events
// flow, and only then.
func TestRowsGiveWay(t *testing.T) {
	const held = 100 * time.Millisecond
	for name, tt := range map[string]struct {
		silent time.Duration // since the last event
		held   time.Duration
		free   time.Duration // between two commits of rows
	}{
		"events flow":          {0, held, restAfterRows * held},
		"rows take long":       {0, 10 * time.Second, mostRest},
		"no event comes":       {time.Minute, held, 0},
		"the last events were": {flowing, held, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld()
				w.publish(accounts, 1)
				begin, told := make(chan struct{}), make(chan time.Duration, 1)
				l := w.working(&Stats{}, func(ctx context.Context, d *RowDesk) error {
					<-begin
					var ended, began time.Time
					for range 2 {
						_, err := d.Held(ctx, func(ctx context.Context) (Chunk, error) {
							began = time.Now()
							if ended.IsZero() {
								pause(ctx, tt.held)
							}
							return Chunk{Channel: accounts}, nil
						})
						if err != nil {
							return err
						}
						if ended.IsZero() {
							ended = time.Now()
						}
					}
					told <- began.Sub(ended)
					<-ctx.Done()
					return nil
				})
				if err := carry(t, l, func() { // the event is committed
					pause(t.Context(), tt.silent)
					close(begin)
					if free := <-told; free != tt.free {
						t.Errorf("the committer was free for %s, want %s", free, tt.free)
					}
				}); err != nil {
					t.Fatal(err)
				}
			})
		})
	}
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// Events go first, but not for ever.
func TestEventsGoFirst(t *testing.T) {
	var turn turns
	for range mostAhead {
		if turn.rows(1) {
			t.Fatal("rows went before events that wait")
		}
		turn.events()
	}
	if !turn.rows(1) {
		t.Error("rows wait for ever")
	}
	turn.took(0)
	if turn.ahead != 0 {
		t.Error("rows had their turn, and go again")
	}
}
