package config

import (
	"os"
	"testing"
	"time"
)

func TestQueries(t *testing.T) {
	data, err := os.ReadFile("testdata/valid/queries.yaml")
	if err != nil {
		t.Fatal(err)
	}
	c := parse(t, string(data))
	whole, some := c.Streams[1], c.Streams[2]
	if whole.Channel != "/query/Entitlement" || whole.Kind != Rows || whole.Retention != 0 || whole.OnStarvation != StarvationIgnore || whole.Snapshot != SnapshotNever ||
		whole.Query != (Query{Object: "Entitlement", Every: 30 * time.Second, IncrementalField: FieldSystemModstamp, Deletions: DeletionsQueryAll, Overlap: 30 * time.Second}) {
		t.Errorf("%+v", whole)
	}
	if some.Channel != "/query/active_entitlements" || some.objectName() != "active_entitlements" || some.Envelope != EnvelopeFlat ||
		some.Query.Overlap != 2*time.Minute || some.Query.Deletions != DeletionsDeleted {
		t.Errorf("%+v", some)
	}
	if (c.Streams[0].Query != Query{}) {
		t.Errorf("a channel has a query: %+v", c.Streams[0].Query)
	}
}

// Two instances that look at different times make the same records.
func TestHowOftenIsNoDifference(t *testing.T) {
	data, err := os.ReadFile("testdata/valid/queries.yaml")
	if err != nil {
		t.Fatal(err)
	}
	one, other := parse(t, string(data)), parse(t, string(data))
	other.Streams[1].Query.Every = time.Hour
	if one.Fingerprint() != other.Fingerprint() {
		t.Error("how often is asked makes two configurations different")
	}
	other.Streams[1].Query.Deletions = DeletionsNone
	if one.Fingerprint() == other.Fingerprint() {
		t.Error("whether deletions are found makes no difference")
	}
	if other.Streams[1].Query.Every != time.Hour {
		t.Error("the fingerprint changes the configuration")
	}
}
