package transform_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/sfbridge/bridge/transform"
)

// FuzzStreaming: whatever comes on a PushTopic or a generic channel is refused, or
// says the same in Avro and in JSON.
func FuzzStreaming(f *testing.F) {
	cases, err := filepath.Glob("testdata/streaming/*/event.json")
	if err != nil || len(cases) == 0 {
		f.Fatal(err, len(cases))
	}
	for _, file := range cases {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		var ev goldenEvent
		if err := json.Unmarshal(text, &ev); err != nil {
			f.Fatal(err)
		}
		f.Add([]byte(ev.Payload), ev.Extras)
	}
	f.Fuzz(func(t *testing.T, payload []byte, extras bool) {
		for _, channel := range []string{"/topic/InvoiceUpdates", "/u/notifications/orders"} {
			ev := &goldenEvent{Channel: channel, Position: "21", Payload: payload, Extras: extras}
			catalog := invoiceTopic().catalog()
			avro, _, id, err := encodeStreaming(t, ev, catalog, "avro")
			if err != nil {
				if !transform.BadEvent(err) {
					t.Fatalf("%s: %v is nobody's fault", channel, err)
				}
				continue
			}
			other, _, _, err := encodeStreaming(t, ev, catalog, "json")
			if err != nil {
				t.Fatalf("%s: only JSON refuses: %v", channel, err)
			}
			schema := schemaWith(t, catalog, id, extras)
			a, err := decodeAvro(string(schema.JSON), avro[0].Value[5:])
			if err != nil {
				t.Fatalf("%s: %v", channel, err)
			}
			j, err := decodeJSON(other[0].Value)
			if err != nil {
				t.Fatalf("%s: %v in %s", channel, err, other[0].Value)
			}
			if err := sameRecord("value", a, j); err != nil {
				t.Fatalf("%s: %v", channel, err)
			}
		}
	})
}
