package cli

import (
	"context"
	"slices"

	"github.com/sfbridge/bridge/cmd/bridge/internal/source/snapshot"
)

// idsOfSignal is how many records one signal names: the state of its task, which names
// them too, is written with each commit.
const idsOfSignal = 2000

// rereadDrifts asks the running bridge to read records again, which it does in the order
// of the signals.
func rereadDrifts(ctx context.Context, b *bridge, channel, object string, ids []string) error {
	d := &taskDesk{laneOwner{bridge: b}}
	if err := d.listening(ctx, channel); err != nil {
		return err
	}
	var signals []snapshot.Signal
	for some := range slices.Chunk(ids, idsOfSignal) {
		signals = append(signals, snapshot.Signal{Type: snapshot.AskReread, Channel: channel, Object: object, IDs: some})
	}
	return d.send(ctx, signals)
}
