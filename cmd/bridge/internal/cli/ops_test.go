package cli

import (
	"testing"

	"github.com/sfbridge/bridge/cmd/bridge/internal/config"
	"github.com/sfbridge/bridge/cmd/bridge/internal/pipeline"
)

// Between reaching everything and the first subscription a bridge is not ready,
// though no lane has told of a stream yet.
func TestNotReadyBeforeLanesHaveStreams(t *testing.T) {
	stats := &pipeline.Stats{}
	o := &operations{bridge: &bridge{stats: stats, cfg: &config.Config{
		Streams: []config.Stream{{Channel: "/data/AccountChangeEvent"}, {Channel: "/event/Order__e"}},
	}}}
	if r := o.ready(); r.Ready || len(r.Reasons) != 1 || r.Reasons[0].State != "starting" {
		t.Errorf("before it is open: %+v", r)
	}
	o.opened()
	if r := o.ready(); r.Ready || len(r.Reasons) != 2 || r.Reasons[0].Stream != "/data/AccountChangeEvent" {
		t.Errorf("before its lanes run: %+v", r)
	}
	stats.Stream("/event/Order__e") // as a lane does when it is made
	if r := o.ready(); r.Ready || len(r.Reasons) != 2 {
		t.Errorf("with one stream taken up: %+v", r)
	}
}
