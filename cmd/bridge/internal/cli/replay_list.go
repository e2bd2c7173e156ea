package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/sfbridge/bridge/cmd/bridge/internal/backfill"
	"github.com/sfbridge/bridge/replay"
)

func listReplays(ctx context.Context, path string, asJSON bool, stdout, stderr io.Writer) error {
	b, err := openPositions(ctx, path, stderr)
	if err != nil {
		return err
	}
	cfg := b.positions()
	cfg.Topic, cfg.Lanes, cfg.Create = b.cfg.Name+".replays", 1, false
	store, err := replay.Open(ctx, cfg)
	var runs []backfill.Run
	if _, missing := errors.AsType[*replay.TopicMissingError](err); !missing {
		if err != nil {
			return outside("topic of runs", err)
		}
		defer store.Close()
		if runs, err = (backfill.Runs{Store: store, Org: b.org.id}).List(ctx); err != nil {
			return outside("topic of runs", err)
		}
	}
	if asJSON {
		for _, run := range runs {
			if err := tagged(stdout, "run", run); err != nil {
				return err
			}
		}
		return nil
	}
	t := tabwriter.NewWriter(stdout, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintf(t, "RUN\tSTATE\tSTARTED\tENDED\tEVENTS\tROWS\tINTO\tCHANNELS\n") // Flush tells
	for _, run := range runs {
		channels := make([]string, len(run.Streams))
		for i, s := range run.Streams {
			channels[i] = s.Channel
		}
		ended, into := "-", "the same topics"
		if !run.Ended.IsZero() {
			ended = run.Ended.Format(time.RFC3339)
		}
		if run.Into != "" {
			into = run.Into
		}
		_, _ = fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%d\t%d\t%s\t%s\n", run.ID, run.State, run.Started.Format(time.RFC3339), ended, run.Events, run.Rows, into, strings.Join(channels, " "))
	}
	return t.Flush()
}
