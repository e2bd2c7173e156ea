package cli

import (
	"strings"
	"testing"

	"github.com/sfbridge/bridge/cmd/bridge/internal/config"
)

// TestRowsHaveNoReplay: streams that ask for rows are left out of --all, and refused by
// name.
func TestRowsHaveNoReplay(t *testing.T) {
	events := config.Stream{Channel: "/data/AccountChangeEvent"}
	rows := config.Stream{Channel: "/query/Entitlement", Source: config.SourceQuery}
	b := &bridge{cfg: &config.Config{Streams: []config.Stream{events, rows}}}
	got, err := b.withEvents(replayFlags{all: true})
	if err != nil || len(got) != 1 || got[0].Channel != events.Channel {
		t.Errorf("all: %v, %v", got, err)
	}
	if _, err := b.withEvents(replayFlags{channels: []string{rows.Channel}}); err == nil || !strings.Contains(err.Error(), "positions rewind") {
		t.Errorf("by name: %v", err)
	}
	b.cfg.Streams = []config.Stream{rows}
	if _, err := b.withEvents(replayFlags{all: true}); err == nil || !strings.Contains(err.Error(), "no stream") {
		t.Errorf("with nothing else: %v", err)
	}
}
