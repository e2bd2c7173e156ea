package transform_test

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/hamba/avro/v2"

	"github.com/sfbridge/bridge/schemas"
	"github.com/sfbridge/bridge/transform"
)

// seven registers every schema as number 7, under a subject that is kept.
type seven struct{ subject string }

func (s *seven) Register(_ context.Context, subject string, _ *schemas.Schema) (int, error) {
	s.subject = subject
	return 7, nil
}

func hole() *transform.Hole {
	at := time.UnixMilli(1772616000123).UTC()
	return &transform.Hole{
		Org: "00Dxx0000001gPLEAY", Channel: "/data/AccountChangeEvent", Object: "Account", Reason: "gap_event", ChangeType: "GAP_UPDATE",
		RecordIDs: []string{"001xx000003DGb2AAG"}, FromPosition: "5", FromTime: at, State: transform.HoleOpen, Detected: at, Detail: "why",
	}
}

func TestLedgerRecord(t *testing.T) {
	reg := &seven{}
	l, err := transform.NewLedger("acme.gaps", transform.Config{Registry: reg})
	if err != nil {
		t.Fatal(err)
	}
	r, err := l.Record(t.Context(), hole())
	if err != nil {
		t.Fatal(err)
	}
	if string(r.Key) != hole().ID() || r.Topic != "acme.gaps" || reg.subject != "acme.gaps-value" {
		t.Errorf("key %s, topic %s, subject %s", r.Key, r.Topic, reg.subject)
	}
	if string(r.Value[:5]) != "\x00\x00\x00\x00\x07" {
		t.Errorf("wire header % x", r.Value[:5])
	}
	schema, err := avro.ParseBytesWithCache(schemas.Gap().JSON, "", &avro.SchemaCache{})
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]any{}
	if err := avro.Unmarshal(schema, r.Value[5:], &got); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]any{
		"channel": "/data/AccountChangeEvent", "reason": "gap_event", "state": "open", "detail": "why", "toTime": nil, "toPosition": nil,
	} {
		if got[name] != want {
			t.Errorf("%s is %v, want %v", name, got[name], want)
		}
	}
	if at, ok := got["detected"].(time.Time); !ok || !at.Equal(hole().Detected) {
		t.Errorf("detected %v", got["detected"])
	}
}

func TestLedgerRecordAsJSON(t *testing.T) {
	l, err := transform.NewLedger("acme.gaps", transform.Config{Format: transform.JSON})
	if err != nil {
		t.Fatal(err)
	}
	r, err := l.Record(t.Context(), &transform.Hole{Org: "o", Channel: "/c", Reason: transform.ReplayRefused, State: transform.HoleOpen})
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal(r.Value, &got); err != nil || got["reason"] != "replay_id_refused" || got["object"] != nil || len(got) != 14 {
		t.Errorf("%s: %v", r.Value, err)
	}
}

// A hole keeps its id through its states, and another hole has another one.
func TestHoleID(t *testing.T) {
	a, b := hole(), hole()
	b.State, b.Detected, b.Detail = transform.HoleRepaired, time.Now(), "done"
	if a.ID() != b.ID() {
		t.Error("another state has another id")
	}
	b.FromPosition = "6"
	c := hole()
	c.Org, c.Channel = c.Org+"/", "data/AccountChangeEvent"
	if a.ID() == b.ID() || a.ID() == c.ID() {
		t.Error("another hole has the same id")
	}
}
