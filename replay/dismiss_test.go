package replay

import (
	"context"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// A member that is taken out in its place loses what it has and comes back; one that
// has gone by itself is no error.
func testDismiss(t *testing.T, brokers []string) {
	cfg, s := groupConfig(t, brokers), newShared(t)
	a := s.join(cfg, "a")
	s.until("a has everything", func() bool { return len(s.has("a")) == 4 })
	members, err := Members(testCtx(t), cfg.Client, cfg.Group)
	if err != nil || len(members) != 1 {
		t.Fatalf("%v, %v", members, err)
	}
	s.change(func() { s.cut["a"] = true }) // it may hear of its loss after it got them again
	if err := Dismiss(testCtx(t), cfg.Client, cfg.Group, "for a test", members...); err != nil {
		t.Fatal(err)
	}
	s.until("it has got everything twice", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.moves[0] == 2 && s.moves[1] == 2 && s.moves[2] == 2 && s.moves[3] == 2
	})
	if err := Dismiss(testCtx(t), cfg.Client, cfg.Group, "for a test", members...); err != nil {
		t.Errorf("one that has gone: %v", err)
	}
	if err := a.Leave(testCtx(t)); err != nil {
		t.Fatal(err)
	}
}

func TestDismissIsNotAllowed(t *testing.T) {
	c := newFake(t)
	cfg := groupConfig(t, c.ListenAddrs())
	s := newShared(t)
	a := s.join(cfg, "a")
	s.until("a has everything", func() bool { return len(s.has("a")) == 4 })
	members, err := Members(testCtx(t), cfg.Client, cfg.Group)
	if err != nil {
		t.Fatal(err)
	}
	c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.LeaveGroup}, Err: kerr.GroupAuthorizationFailed, Count: 1})
	wantError[*AuthorizationError](t, Dismiss(testCtx(t), cfg.Client, cfg.Group, "for a test", members...), false, "Read", cfg.Group)
	if err := a.Leave(testCtx(t)); err != nil {
		t.Fatal(err)
	}
}

// The next owner's barrier is seen, one before ours is not taken for it.
func testFollowed(t *testing.T, brokers []string) {
	s := mustOpen(t, config(t, brokers))
	o := newOwner(t, brokers, unique(t, "lane"))
	o.commit(s.Barrier(1).Record())
	ours := s.Barrier(1)
	o.commit(ours.Record())
	ctx, cancel := context.WithTimeout(testCtx(t), 300*time.Millisecond)
	defer cancel()
	if err := s.Followed(ctx, ours); err == nil {
		t.Error("nobody followed")
	}
	seen := make(chan error, 1)
	go func() { seen <- s.Followed(testCtx(t), ours) }()
	o.commit(s.Record(entry(inLane(t, s, 1, 1)[0], "5")))
	o.commit(s.Barrier(1).Record())
	if err := <-seen; err != nil {
		t.Error(err)
	}
}

// The text of an entry says all of it, and is read as strictly as the topic.
func TestEntryText(t *testing.T) {
	e := entry("/data/AccountChangeEvent", "5")
	e.Since, e.EventTime = time.UnixMilli(1_700_000_000_000).UTC(), time.UnixMilli(1_700_000_001_000).UTC()
	e.Seen, e.Updated, e.Owner = e.EventTime.Add(time.Hour), e.EventTime.Add(2*time.Hour), "host/1"
	e.OrgInstance, e.Generation = "USA412", 3
	if got, err := ReadEntry(e.Key, e.Text()); err != nil || got != e {
		t.Errorf("%+v, %v", got, err)
	}
	for _, text := range []string{``, `{}`, `{"v":2,"position":"5","source":"cometd"}`, `{"v":1,"source":"cometd"}`, `{"v":1,"position":"5","source":"cometd","more":1}`} {
		if got, err := ReadEntry(e.Key, []byte(text)); err == nil {
			t.Errorf("%s is %+v", text, got)
		}
	}
	if _, err := ReadEntry(Key{Org: orgA, Channel: "accounts"}, e.Text()); err == nil {
		t.Error("a channel without a slash")
	}
}
