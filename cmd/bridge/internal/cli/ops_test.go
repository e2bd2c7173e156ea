package cli

import (
	"context"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/sfbridge/bridge/cmd/bridge/internal/config"
	"github.com/sfbridge/bridge/cmd/bridge/internal/pipeline"
	"github.com/sfbridge/bridge/replay"
)

// Between reaching everything and the first subscription a bridge is not ready,
// though no lane has told of a stream yet.
func TestNotReadyBeforeLanesHaveStreams(t *testing.T) {
	stats := &pipeline.Stats{}
	o := &operations{bridge: &bridge{stats: stats, alone: true, cfg: &config.Config{
		Streams: []config.Stream{{Channel: "/data/AccountChangeEvent"}, {Channel: "/event/Order__e"}},
	}}}
	if r := o.ready(); r.Ready || len(r.Reasons) != 1 || r.Reasons[0].State != "starting" {
		t.Errorf("before it is open: %+v", r)
	}
	o.opened()
	if r := o.ready(); r.Ready || len(r.Reasons) != 2 || r.Reasons[0].Stream != "/data/AccountChangeEvent" {
		t.Errorf("before its lanes run: %+v", r)
	}
	pipeline.NewLane(pipeline.LaneConfig{Stats: stats, Streams: []pipeline.Stream{{Key: replay.Key{Org: "o", Channel: "/event/Order__e"}}}})
	if r := o.ready(); r.Ready || len(r.Reasons) != 2 {
		t.Errorf("with one stream taken up: %+v", r)
	}
}

// A member of the group is not ready before it knows its lanes, and does not answer
// for those of others.
func TestNotReadyBeforeItIsAMember(t *testing.T) {
	stats := &pipeline.Stats{}
	o := &operations{bridge: &bridge{stats: stats, cfg: &config.Config{Name: "acme", Streams: []config.Stream{{Channel: "/event/Order__e"}}}}}
	o.opened()
	if r := o.ready(); r.Ready || len(r.Reasons) != 1 || r.Reasons[0].State != "joining" {
		t.Errorf("before it has joined: %+v", r)
	}
	intake, drain := context.WithCancel(t.Context())
	g := &pipeline.GroupLanes{Stats: stats, Join: func(a pipeline.Assigning) (pipeline.Membership, error) {
		a.Assigned(nil)
		if r := o.ready(); !r.Ready {
			t.Errorf("a member without lanes stands by: %+v", r)
		}
		a.Assigned([]int32{3})
		if r := o.ready(); r.Ready || len(r.Reasons) != 1 || r.Reasons[0].State != "starting" || r.Reasons[0].Message != "lane 3" {
			t.Errorf("with a lane that has not begun: %+v", r)
		}
		a.Failed(kerr.CoordinatorNotAvailable)
		if r := o.ready(); r.Ready || r.Reasons[0].Message == "" {
			t.Errorf("while the group cannot be reached: %+v", r)
		}
		a.Lost([]int32{3})
		drain()
		return membership{}, nil
	}}
	err := g.Run(t.Context(), intake, func(ctx, _ context.Context, _ int32) error { // it hangs before it begins
		<-ctx.Done()
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	if r := o.ready(); r.Ready {
		t.Errorf("it is ready though it lost its lanes: %+v", r)
	}
}

type membership struct{}

func (membership) Leave(context.Context) error { return nil }
