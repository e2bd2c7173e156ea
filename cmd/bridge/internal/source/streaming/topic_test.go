package streaming

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/sfbridge/bridge/cometd/cometdtest"
)

// The payload of an event without a schema is the whole data member, and a
// PushTopic's event belongs to the stream whose filter let it pass.
func TestWholeDataOfTopicsAndGenericChannels(t *testing.T) {
	const filtered, generic = "/topic/Invoices?Status__c='Open'", "/u/notifications/orders"
	synctest.Test(t, func(t *testing.T) {
		server := &cometdtest.Server{}
		server.Publish("/topic/Invoices", `{"event":{"type":"updated"},"sobject":{"Id":"a01xx000000AbcdAAC"}}`)
		server.Publish(generic, `{"event":{"createdDate":"2026-03-04T09:15:22.990Z"},"payload":"hello"}`)
		f := open(t, server, earliest(filtered), earliest(generic))
		var got []string
		for len(got) < 2 {
			b, err := f.Next(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			size := 0
			for _, ev := range b.Events {
				got = append(got, fmt.Sprint(ev.Channel, " ", ev.SchemaID, string(ev.Payload)))
				size += len(ev.Payload)
			}
			if size != b.Bytes {
				t.Errorf("%d bytes said, %d are there", b.Bytes, size)
			}
		}
		slices.Sort(got)
		want := []string{
			filtered + ` {"event":{"replayId":1,"type":"updated"},"sobject":{"Id":"a01xx000000AbcdAAC"}}`,
			generic + ` {"event":{"replayId":2,"createdDate":"2026-03-04T09:15:22.990Z"},"payload":"hello"}`,
		}
		if !slices.Equal(got, want) {
			t.Errorf("got %q", got)
		}
	})
}
