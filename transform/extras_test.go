package transform_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/sfbridge/bridge/schemas"
	"github.com/sfbridge/bridge/transform"
)

func keepingEncoder(tb testing.TB, format transform.Format) (*transform.Encoder, *transform.Event, *schemas.Schema) {
	tb.Helper()
	ev, text := benchEvent(tb)
	s, err := schemas.Parse(ev.SchemaID, []byte(text))
	if err != nil {
		tb.Fatal(err)
	}
	if s, err = schemas.WithExtras(s); err != nil {
		tb.Fatal(err)
	}
	return newEncoder(tb, transform.Config{
		Schemas: catalogOf(map[string]string{ev.SchemaID: text}), Registry: &registrar{}, Format: format,
		Streams: map[string]transform.StreamOptions{ev.Channel: {Extras: true}},
	}), ev, s
}

// TestExtrasCostNothing: a stream that keeps unknown keys pays for those that
// come, and nothing for the others.
func TestExtrasCostNothing(t *testing.T) {
	for _, format := range []transform.Format{transform.Avro, transform.JSON} {
		e, ev, _ := keepingEncoder(t, format)
		var dst []*kgo.Record
		n := testing.AllocsPerRun(200, func() {
			var (
				meta transform.Meta
				err  error
			)
			if dst, meta, err = e.Encode(context.Background(), dst[:0], ev); err != nil || meta.Extras != 0 {
				t.Fatal(err, meta.Extras)
			}
		})
		if n > 2 {
			t.Errorf("format %s: %v allocations an event, want at most 2", format, n)
		}
	}
}

// TestExtrasOfOneStream: two streams of one schema, one of which keeps unknown
// keys, have each its own schema in the registry; a bad event between them
// leaves nothing behind.
func TestExtrasOfOneStream(t *testing.T) {
	ev, text := benchEvent(t)
	texts := make(map[string]string) // by subject
	e := newEncoder(t, transform.Config{
		Schemas: catalogOf(map[string]string{ev.SchemaID: text}), TopicTemplate: "{{.Channel}}",
		Registry: registrarFunc(func(subject string, s *schemas.Schema) { texts[subject] = string(s.JSON) }),
		Streams:  map[string]transform.StreamOptions{"/data/Kept__chn": {Extras: true}},
	})
	send := func(channel, old, body string) (transform.Meta, error) {
		one := *ev
		one.Channel = channel
		one.Payload = []byte(strings.Replace(string(ev.Payload), old, body, 1))
		_, meta, err := e.Encode(t.Context(), nil, &one)
		return meta, err
	}
	if meta, err := send("/data/Kept__chn", `"Phone":`, `"New__c":1,"Phone":`); err != nil || meta.Extras != 1 {
		t.Errorf("%+v, %v", meta, err)
	}
	var unknown *transform.UnknownFieldError
	if _, err := send("/data/Other__chn", `"Phone":`, `"New__c":1,"Phone":`); !errors.As(err, &unknown) || unknown.Path != "New__c" || unknown.Found != "a number" {
		t.Errorf("got %v", err)
	}
	var field *transform.FieldError
	if _, err := send("/data/Kept__chn", `"Phone":`, `"New__c":1,"Phone":7,"X":`); !errors.As(err, &field) {
		t.Errorf("got %v", err)
	}
	for _, channel := range []string{"/data/Other__chn", "/data/Kept__chn"} {
		if meta, err := send(channel, "", ""); err != nil || meta.Extras != 0 {
			t.Errorf("%+v, %v", meta, err)
		}
	}
	if kept, other := texts["Kept__chn-value"], texts["Other__chn-value"]; !strings.Contains(kept, `"_extras"`) || other == "" || strings.Contains(other, "_extras") {
		t.Errorf("registered %v", texts)
	}
}

type registrarFunc func(subject string, s *schemas.Schema)

func (f registrarFunc) Register(_ context.Context, subject string, s *schemas.Schema) (int, error) {
	f(subject, s)
	return 7, nil
}

// TestExtrasAreChecked: what is kept is JSON, to the last byte.
func TestExtrasAreChecked(t *testing.T) {
	e, ev, s := keepingEncoder(t, transform.Avro)
	encode := func(value string) (map[string]any, error) {
		one := *ev
		one.Payload = []byte(strings.Replace(string(ev.Payload), `"Phone":`, `"New__c":`+value+`,"Phone":`, 1))
		records, _, err := e.Encode(t.Context(), nil, &one)
		if err != nil {
			return nil, err
		}
		m, err := decodeAvro(string(s.JSON), records[0].Value[5:])
		if err != nil {
			t.Fatalf("%s: %v", value, err)
		}
		extras, _ := m[schemas.ExtrasField].(map[string]any)
		return extras, nil
	}
	deep := func(n int) string { return strings.Repeat(`[`, n) + strings.Repeat(`]`, n) }
	for _, value := range []string{`1`, `-0.0E+5`, `""`, `"\u00e9\ud83d\ude00é"`, `true`, `false`, `null`, `{}`, `[]`, `{ }`, `[ ]`, `{"a":{"a":[{}]},"a":1}`, `[ 1 , [ ] , "x" ]`, deep(500)} {
		if got, err := encode(value); err != nil || got["New__c"] != value || len(got) != 1 {
			t.Errorf("%.40s: %v, %v", value, got, err)
		}
	}
	for _, value := range []string{
		``, `01`, `1.`, `+1`, `tru`, `nul`, `fals`, `"`, `"\x"`, `"\ud800"`, "\"\xff\"", "\"\x01\"", `{`, `{"a"}`, `{"a":}`, `{"a":1,}`, `{a:1}`, `{"a":1 "b":2}`, `{,}`,
		`[`, `[1,]`, `[,1]`, `[1 2]`, `[1}`, `{"a":1]`, `'x'`, `NaN`, deep(501), strings.Repeat(`{"a":`, 1<<20),
	} {
		_, err := encode(value)
		var event *transform.EventError
		if !errors.As(err, &event) || event.Offset < 56 {
			t.Errorf("%.40s: %v", value, err)
		}
	}
}

// TestMegabyte: an event of the greatest size that Salesforce sends, its weight
// in one text, in one unknown value, in many unknown keys.
func TestMegabyte(t *testing.T) {
	var many strings.Builder
	for i := range 40_000 {
		fmt.Fprintf(&many, `"N%06d__c":"%d \u00e9",`, i*7919%40_000, i)
	}
	long := strings.Repeat(`Makes traps. \"Caf\u00e9\" 日本 \\ `, 30_000)
	for _, c := range []struct {
		name, old, body string
		extras          int
	}{
		{"text", "roadrunner", long, 0},
		{"diff", `"Makes roadrunner`, `{"diff":"` + long + `"},"Notes__c":"`, 0},
		{"unknown value", `"Phone":`, `"New__c":["` + long + `"],"Phone":`, 1},
		{"unknown keys", `"Phone":`, many.String() + `"Phone":`, 40_000},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got [2]map[string]any
			for i, format := range []transform.Format{transform.Avro, transform.JSON} {
				e, ev, s := keepingEncoder(t, format)
				one := *ev
				one.Payload = []byte(strings.Replace(string(ev.Payload), c.old, c.body, 1))
				if len(one.Payload) < 900_000 {
					t.Fatalf("only %d bytes", len(one.Payload))
				}
				records, meta, err := e.Encode(t.Context(), nil, &one)
				if err != nil || meta.Extras != c.extras {
					t.Fatalf("%d extras, %v", meta.Extras, err)
				}
				if format == transform.JSON {
					got[i], err = decodeJSON(records[0].Value)
				} else {
					got[i], err = decodeAvro(string(s.JSON), records[0].Value[5:])
				}
				if err != nil {
					t.Fatal(err)
				}
				want, err := reference(s, one.Payload)
				if err != nil || format == transform.Avro && !sameValue(got[i], want) {
					t.Fatalf("not what the reference says (%v)", err)
				}
			}
			if err := sameRecord("value", got[0], got[1]); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestExtrasPaths: how the paths of unknown keys are made, whatever the keys.
func TestExtrasPaths(t *testing.T) {
	const text = `{"name":"P__e","type":"record","fields":[{"name":"List","type":["null",{"type":"array","items":{"type":"record","name":"Item","fields":[
		{"name":"In","type":["null",{"type":"record","name":"Inner","fields":[{"name":"A","type":["null","string"]}]}]}]}}]}]}`
	for _, c := range []struct{ payload, want string }{
		{`{"a":1}`, `{"a":"1"}`},
		{`{"b":1,"a":2,"aa":3}`, `{"a":"2","aa":"3","b":"1"}`},
		{`{"":1}`, `{"":"1"}`},
		{`{"a\u0001\u001f\"\\\n\r\t":"\u0001"}`, `{"a\u0001\u001f\"\\\n\r\t":"\"\\u0001\""}`},
		{`{"a":[` + "\n\t\r 1]}", `{"a":"[\n\t\r 1]"}`},
		{`{"x":0,"List":[{"a":1},{"In":{"b":2,"A":null},"a":3}],"y":4}`, `{"List[0].a":"1","List[1].In.b":"2","List[1].a":"3","x":"0","y":"4"}`},
		{`{"List":[{"[0]":1,"In":{"[k":2}}]}`, `{"List[0].In[k":"2","List[0].[0]":"1"}`},
	} {
		e := newEncoder(t, transform.Config{
			Schemas: catalogOf(map[string]string{"id": text}), Format: transform.JSON,
			Streams: map[string]transform.StreamOptions{"/event/P__e": {Extras: true}},
		})
		records, meta, err := e.Encode(t.Context(), nil, &transform.Event{Channel: "/event/P__e", SchemaID: "id", UUID: "u", Payload: []byte(c.payload)})
		if err != nil {
			t.Errorf("%s: %v", c.payload, err)
			continue
		}
		_, got, _ := strings.Cut(strings.TrimSuffix(string(records[0].Value), "}"), `"_extras":`)
		if got != c.want || meta.Extras != strings.Count(c.want, `":"`) {
			t.Errorf("%s:\n got %s (%d)\nwant %s", c.payload, got, meta.Extras, c.want)
		}
	}
}

// TestListsCompleted: what the payload proves is added to the lists that it
// carries, once and to the right one.
func TestListsCompleted(t *testing.T) {
	e, ev := benchEncoder(t, transform.JSON)
	for _, c := range []struct{ lists, body, want string }{
		{`"nulledFields":["\u0050hone"]`, `"Phone":null,"Rating":null`, `"nulledFields":["\u0050hone","Rating"],"diffFields":[]`},
		{`"nulledFields":["Description"]`, `"Phone":null,"Description":{"diff":"@@"}`, `"nulledFields":["Description","Phone"],"diffFields":["Description"]`},
		{`"diffFields":["Phone"]`, `"Phone":null,"Description":{"diff":"@@"}`, `"nulledFields":["Phone"],"diffFields":["Phone","Description"]`},
		{`"nulledFields":["Phone"],"diffFields":["Description"]`, `"Phone":null,"Description":{"diff":"@@"}`, `"nulledFields":["Phone"],"diffFields":["Description"]`},
		{`"nulledFields":["Description"],"diffFields":["Phone"]`, `"Phone":null,"Description":{"diff":"@@"}`, `"nulledFields":["Description","Phone"],"diffFields":["Phone","Description"]`},
		{`"nulledFields":["BillingAddress.City"]`, `"BillingAddress":{"State":null,"City":null}`, `"nulledFields":["BillingAddress.City","BillingAddress.State"],"diffFields":[]`},
		{`"diffFields":["Phone"]`, `"Phone":"+33 1"`, `"nulledFields":[],"diffFields":["Phone"]`},
	} {
		one := *ev
		one.Payload = []byte(`{"ChangeEventHeader":{"commitNumber":1,"commitUser":"u","sequenceNumber":1,"entityName":"Account","changeType":"UPDATE","changeOrigin":"","transactionKey":"t","commitTimestamp":5,"recordIds":["001xx000003DGb2AAG"],` + c.lists + `},` + c.body + `}`)
		records, _, err := e.Encode(t.Context(), nil, &one)
		if err != nil || !strings.Contains(string(records[0].Value), c.want) {
			t.Errorf("%s %s: %v\n got %s\nwant %s", c.lists, c.body, err, records[0].Value, c.want)
		}
	}
}
