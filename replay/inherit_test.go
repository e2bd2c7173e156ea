package replay

import (
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// testInherit leaves all that a bridge keeps to another org: it is found whole, and
// what takes its place and deletes it makes the topic the other org's.
func testInherit(t *testing.T, brokers []string) {
	cfg := config(t, brokers)
	former := mustOpen(t, cfg)
	at := time.Date(2026, 3, 4, 9, 0, 0, 0, time.UTC)
	var records []*kgo.Record
	for lane := range int32(cfg.Lanes) {
		records = append(records, former.Barrier(lane).Record())
	}
	channels := []string{"/data/AccountChangeEvent", "/data/ContactChangeEvent", "/event/Order__e"}
	for _, channel := range channels {
		k := Key{Org: cfg.Org, Channel: channel}
		records = append(records, former.Record(Entry{Key: k, Position: "7", EventTime: at, Source: "cometd", OrgInstance: "NA1", Generation: 2}),
			former.MomentRecord(Moment{Key: k, Time: at, Position: "7", Generation: 2}))
	}
	records = append(records, former.NoteRecord(Note{Name: "run/1", Body: json.RawMessage(`{}`), Updated: at}))
	put(t, brokers, records...)

	cfg.Org = orgB
	_, err := Open(testCtx(t), cfg)
	wantError[*OtherOrgError](t, err, false, orgA, orgB)
	s, estate, err := Inherit(testCtx(t), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if len(estate.Orgs) != 1 || estate.Orgs[0] != orgA || len(estate.Entries) != len(channels) || len(estate.Tombstones()) != len(records) {
		t.Fatalf("of %v: %d positions, %d records to delete, want %d and %d", estate.Orgs, len(estate.Entries), len(estate.Tombstones()), len(channels), len(records))
	}
	for i, e := range estate.Entries {
		if e.Key != (Key{orgA, channels[i]}) || e.Position != "7" || !e.EventTime.Equal(at) || e.OrgInstance != "NA1" || e.Generation != 2 {
			t.Errorf("%+v", e)
		}
	}
	next := Entry{Key: Key{Org: orgB, Channel: channels[0]}, Since: at, Source: "cometd", Generation: 3}
	put(t, brokers, append(estate.Tombstones(), s.Record(next))...)
	again := mustOpen(t, cfg)
	if all, err := again.All(testCtx(t)); err != nil || len(all) != 1 || all[next.Key] != next {
		t.Errorf("%+v, %v", all, err)
	}
	if notes, err := again.Notes(testCtx(t)); err != nil || len(notes) != 0 {
		t.Errorf("%v, %v", notes, err)
	}
	s, estate, err = Inherit(testCtx(t), cfg)
	if err != nil || len(estate.Orgs)+len(estate.Entries)+len(estate.Tombstones()) != 0 {
		t.Fatalf("%+v, %v: there is nothing left", estate, err)
	}
	s.Close()
}

// testInheritRefuses does not take what cannot be read for somebody's estate.
func testInheritRefuses(t *testing.T, brokers []string) {
	cfg := config(t, brokers)
	mustOpen(t, cfg)
	for key, value := range map[string]string{
		"stream/" + orgA + "/c":   `{"v":1,"position":"1","source":"x","later":1}`,
		"stream/" + orgB + "/c":   `{"v":2}`,
		"something/" + orgB + "/": `{"v":1}`,
	} {
		r := &kgo.Record{Topic: cfg.Topic, Partition: LaneOf(Key{orgA, "/c"}, cfg.Lanes), Key: []byte(key), Value: []byte(value)}
		put(t, brokers, r)
		if s, estate, err := Inherit(testCtx(t), cfg); err == nil {
			s.Close()
			t.Errorf("%s: %+v", key, estate)
		} else if _, ok := errors.AsType[*UnreadableError](err); !ok {
			t.Errorf("%s: %v", key, err)
		}
		put(t, brokers, &kgo.Record{Topic: cfg.Topic, Partition: r.Partition, Key: r.Key})
	}
	cfg.Topic += "-missing"
	cfg.Create = false
	_, _, err := Inherit(testCtx(t), cfg)
	wantError[*TopicMissingError](t, err, false)
}

// testGenerations leaves the moments of an older bus out of the index.
func testGenerations(t *testing.T, brokers []string) {
	s := mustOpen(t, config(t, brokers))
	key, at := Key{orgA, "/data/AccountChangeEvent"}, time.Date(2026, 3, 4, 9, 0, 0, 0, time.UTC)
	put(t, brokers, s.Record(Entry{Key: key, Position: "3", Generation: 1}),
		s.MomentRecord(Moment{Key: key, Time: at, Position: "900"}),
		s.MomentRecord(Moment{Key: key, Time: at.Add(IndexEvery), Position: "2", Generation: 1}))
	moments, err := s.Index(testCtx(t), key)
	if err != nil || len(moments) != 1 || moments[0].Position != "2" {
		t.Errorf("%+v, %v", moments, err)
	}
}
