package transform_test

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sr/srfake"

	"github.com/sfbridge/bridge/schemas"
	"github.com/sfbridge/bridge/transform"
)

func fullHole() *transform.Hole {
	return &transform.Hole{
		Org: "00D000000000001EAA", Channel: "/data/ChangeEvents", Object: "Account", Reason: "gap_event", ChangeType: "GAP_UPDATE",
		RecordIDs: []string{"001000000000001AAA"}, FromPosition: "17", ToPosition: "17",
		FromTime: time.UnixMilli(1_700_000_000_123).UTC(), ToTime: time.UnixMilli(1_700_000_000_124).UTC(),
		State: transform.HoleRepairing, Detected: time.UnixMilli(1_700_000_100_000).UTC(), Detail: "a \"detail\"",
	}
}

func emptyHole() *transform.Hole {
	return &transform.Hole{
		Org: "00D000000000001EAA", Channel: "/data/ChangeEvents", Reason: transform.Starved, RecordIDs: []string{},
		State: transform.HoleOpen, Detected: time.UnixMilli(1_700_000_100_000).UTC(),
	}
}

// What a ledger writes is read as it was, in every format, whatever the
// configuration says now.
func TestLedgerIsReadAsItWasWritten(t *testing.T) {
	fake := srfake.New()
	defer fake.Close()
	registry, err := schemas.NewRegistry(schemas.RegistryConfig{URLs: []string{fake.URL()}})
	if err != nil {
		t.Fatal(err)
	}
	reader, err := transform.NewLedgerReader(registry.Decoder())
	if err != nil {
		t.Fatal(err)
	}
	for name, cfg := range map[string]transform.Config{
		"registry": {Registry: registry, Subject: schemas.TopicSubject}, "no registry": {}, "json": {Format: transform.JSON}, "raw": {Format: transform.Raw},
	} {
		ledger, err := transform.NewLedger("acme.gaps", cfg)
		if err != nil {
			t.Fatal(err)
		}
		for _, hole := range []*transform.Hole{fullHole(), emptyHole()} {
			r, err := ledger.Record(t.Context(), hole)
			if err != nil {
				t.Fatal(err)
			}
			got, err := reader.Read(t.Context(), r)
			if err != nil || got.ID != hole.ID() || !reflect.DeepEqual(got.Hole, *hole) || got.Unknown != nil {
				t.Errorf("%s: %+v (%v), want %+v", name, got, err, *hole)
			}
			if got.Hole.ID() != got.ID {
				t.Errorf("%s: written again it would be %s, not %s", name, got.Hole.ID(), got.ID)
			}
		}
	}
}

func TestLedgerRecordsThatCannotBeRead(t *testing.T) {
	ledger, err := transform.NewLedger("acme.gaps", transform.Config{})
	if err != nil {
		t.Fatal(err)
	}
	good, err := ledger.Record(t.Context(), fullHole())
	if err != nil {
		t.Fatal(err)
	}
	reader, err := transform.NewLedgerReader(nil)
	if err != nil {
		t.Fatal(err)
	}
	key := string(good.Key)
	for _, c := range []struct{ key, value, says string }{
		{key, "", "no value"},
		{key, "\x00\x00\x00\x00\x01abc", "try: registry.url"},
		{key, string(good.Value) + "\x00", "left over"},
		{key, string(good.Value[:40]), "not by the schema"},
		{"other", string(good.Value), `value is that of "` + key},
		{"x", `{"id":"x","state":"open"}`, "lacks its channel"},
		{"x", `{"id":"x","channel":"/u/x"}`, "lacks its channel or its state"},
		{"x", `{"id":"x","fromTime":"yesterday"}`, "field fromTime"},
		{"x", `{"id":`, "unexpected end"},
	} {
		_, err := reader.Read(t.Context(), &kgo.Record{Key: []byte(c.key), Value: []byte(c.value), Partition: 3, Offset: 4})
		bad, ok := errors.AsType[*transform.LedgerRecordError](err)
		if !ok || bad.Offset != 4 || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%q: %v, want %q", c.value, err, c.says)
		}
	}
}

// An entry of a newer version is read as far as it is known, and says what is not.
func TestLedgerEntryOfANewerVersion(t *testing.T) {
	reader, err := transform.NewLedgerReader(nil)
	if err != nil {
		t.Fatal(err)
	}
	got, err := reader.Read(t.Context(), &kgo.Record{Key: []byte("x"), Value: []byte(
		`{"id":"x","channel":"/u/x","state":"mending","object":null,"toTime":1700000000124,"mender":"m","also":1}`)})
	if err != nil || !reflect.DeepEqual(got.Unknown, []string{"also", "mender"}) || !got.ToTime.Equal(time.UnixMilli(1_700_000_000_124)) || !got.Unfilled() {
		t.Errorf("%+v, %v", got, err)
	}
}

// BenchmarkLedgerRead reads an entry as it is written without a registry and as JSON.
func BenchmarkLedgerRead(b *testing.B) {
	for name, cfg := range map[string]transform.Config{"avro": {}, "json": {Format: transform.JSON}} {
		ledger, err := transform.NewLedger("acme.gaps", cfg)
		if err != nil {
			b.Fatal(err)
		}
		r, err := ledger.Record(b.Context(), fullHole())
		if err != nil {
			b.Fatal(err)
		}
		reader, err := transform.NewLedgerReader(nil)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if _, err := reader.Read(b.Context(), r); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
