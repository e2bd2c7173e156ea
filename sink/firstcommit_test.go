package sink

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// testFirstCommits: the first commit of a producer writes to topics that its
// client has not loaded yet. See endTransaction.
func testFirstCommits(t *testing.T, brokers []string) {
	const producers, at = 24, 4
	topic := unique(t, "records")
	mustTopic(t, brokers, topic, 3)
	ctx := testCtx(t)
	errs := make(chan error)
	var want []string
	for i := range producers {
		want = append(want, fmt.Sprint(i))
	}
	for w := range at {
		cfg := config(t, brokers)
		go func() {
			var err error
			for i := w; i < producers && err == nil; i += at {
				err = firstCommit(ctx, cfg, topic, i)
			}
			errs <- err
		}()
	}
	for range at {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	wantValues(t, readAll(t, brokers, topic), want...)
}

func firstCommit(ctx context.Context, cfg Config, topic string, i int) error {
	cfg.TransactionalID += fmt.Sprint(i)
	cfg.TransactionTimeout = 5 * time.Second
	p, err := Open(ctx, cfg)
	if err != nil {
		return err
	}
	return errors.Join(p.Commit(ctx, []*kgo.Record{record(topic, fmt.Sprint(i), fmt.Sprint(i))}, nil), p.Close(ctx))
}
