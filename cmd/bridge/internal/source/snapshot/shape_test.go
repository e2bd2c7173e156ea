package snapshot_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sfbridge/bridge/cmd/bridge/internal/source/snapshot"
	"github.com/sfbridge/bridge/integration/orgsim"
	"github.com/sfbridge/bridge/salesforce"
	"github.com/sfbridge/bridge/schemas"
	"github.com/sfbridge/bridge/transform"
)

// widget has one field that rows have, and others that they have not.
func widget() *oneObject {
	return &oneObject{
		fields: append(parts("Spot__c", "location", "Spot__", "__s", "Latitude", "Longitude"),
			salesforce.Field{Name: "F__c", Type: "string"}, salesforce.Field{Name: "Scan__c", Type: "base64"}),
		schema: `{"name":"F__c","type":["null","string"],"doc":"","default":null},{"name":"Scan__c","type":["null","string"],"doc":"","default":null},` +
			`{"name":"Secret__c","type":["null","string"],"doc":"","default":null},` + compound("Spot__c", "", "Location", "Latitude", "Longitude"),
		rest: `"F__c":null,"Spot__Latitude__s":null,"Spot__Longitude__s":null`, csv: map[string]string{"F__c": "", "Spot__Latitude__s": "", "Spot__Longitude__s": ""},
	}
}

func row(json string) salesforce.Row {
	return salesforce.Row{ID: shapeID, Modstamp: time.UnixMilli(shapeMillis), JSON: []byte(json)}
}

// TestEventOfARow: what the payload says of the change, to the byte.
func TestEventOfARow(t *testing.T) {
	const neutral = `{"ChangeEventHeader":{"changeOrigin":"","transactionKey":"","sequenceNumber":0,"commitNumber":0,"commitUser":"","entityName":"Widget__c",`
	shape := newShape(t, shapeClient(t, widget()), "widget__C") // as somebody may have written it
	for name, tc := range map[string]struct {
		got  transform.Event
		want string
	}{
		"row": {shape.Event(row(`{"F__c":"f","Spot__c":{"Latitude":1.5,"Longitude":null}}`)), `"changeType":"SNAPSHOT","changedFields":["F__c","Spot__c"],"recordIds":["` + shapeID +
			`"],"commitTimestamp":1772615722000},"F__c":"f","Spot__c":{"Latitude":1.5,"Longitude":null}}`},
		"row without fields": {shape.Event(row(`{}`)), `"changeType":"SNAPSHOT","changedFields":["F__c","Spot__c"],"recordIds":["` + shapeID + `"],"commitTimestamp":1772615722000}}`},
		"deletion":           {shape.Deletion(shapeID, time.UnixMilli(5)), `"changeType":"DELETE","changedFields":[],"recordIds":["` + shapeID + `"],"commitTimestamp":5}}`},
		"id of 15":           {shape.Deletion(shapeID[:15], time.UnixMilli(5)), `"changeType":"DELETE","changedFields":[],"recordIds":["` + shapeID + `"],"commitTimestamp":5}}`},
	} {
		if string(tc.got.Payload) != neutral+tc.want {
			t.Errorf("%s: %s\nwant %s", name, tc.got.Payload, neutral+tc.want)
		}
		if e := tc.got; e.Channel != "/data/ChangeEvents" || e.SchemaID != shapeSchema || e.Position != "" || e.UUID != "" {
			t.Errorf("%s: %+v", name, e)
		}
	}
}

// TestLeft: a row's lists and values tell a field that nobody read from an empty one.
func TestLeft(t *testing.T) {
	org := widget()
	client := shapeClient(t, org)
	shape := newShape(t, client, "Widget__c")
	left := shape.Left()
	if len(left) != 2 || left[0].Name != "Scan__c" || left[1].Name != "Secret__c" || !strings.Contains(left[1].Why, "may not see") {
		t.Errorf("left: %+v", left)
	}
	encoders := newEncoders(t, client)
	for how, rows := range bothReaders(t, client, shape, func(time.Duration) {}) {
		ev := shape.Event(rows[0])
		for w, want := range map[way]string{
			{transform.JSON, schemas.EventEnvelope}:    `"nulledFields":[],"diffFields":[],"changedFields":["F__c","Spot__c"]},"F__c":null,"Spot__c":null}`,
			{transform.JSON, schemas.FlatEnvelope}:     `{"Id":"` + shapeID + `","F__c":null,"Spot__Latitude__s":null,"Spot__Longitude__s":null,`,
			{transform.JSON, schemas.DebeziumEnvelope}: `"after":{"Id":"` + shapeID + `","F__c":null,"Spot__Latitude__s":null,"Spot__Longitude__s":null},`,
			{transform.Raw, schemas.EventEnvelope}:     string(ev.Payload),
		} {
			if r, _ := encoders.record(t, w, ev); !strings.Contains(string(r.Value), want) {
				t.Errorf("%s: %s: %s\nwant %s", how, w, r.Value, want)
			}
		}
		flat, _ := encoders.record(t, way{transform.JSON, schemas.FlatEnvelope}, ev)
		if want := `"_changedFields":["F__c","Spot__Latitude__s","Spot__Longitude__s"]`; !strings.Contains(string(flat.Value), want) {
			t.Errorf("%s: flat: %s\nwant %s", how, flat.Value, want)
		}
	}

	org.fields[1].Type = "quaternion" // a part of Spot__c
	if names := changedFields(t, newShape(t, client, "Widget__c")); !slices.Equal(names, []string{"F__c"}) {
		t.Errorf("without a part of a compound field the row speaks for %q", names)
	}
	org.fields[1].Type = "double"
	org.schema = org.schema[:strings.Index(org.schema, `,{"name":"Scan__c"`)]
	if names := changedFields(t, newShape(t, client, "Widget__c")); len(names) > 0 {
		t.Errorf("a row that has all says that it speaks for %q", names)
	}
}

func changedFields(t *testing.T, shape *snapshot.Shape) []string {
	t.Helper()
	var header struct{ ChangedFields []string }
	text, _ := cutHeader(t, shape.Event(row(`{}`)).Payload)
	decode(t, text, &header)
	return header.ChangedFields
}

// TestRecordOfARow: topic, key, headers and time are those of an event, less what a row
// is not part of.
func TestRecordOfARow(t *testing.T) {
	client := shapeClient(t, widget())
	shape := newShape(t, client, "Widget__c")
	for w, e := range newEncoders(t, client) {
		for change, ev := range map[string]transform.Event{"SNAPSHOT": shape.Event(row(`{"F__c":"f"}`)), "DELETE": shape.Deletion(shapeID, time.UnixMilli(shapeMillis))} {
			records, meta, err := e.Encode(t.Context(), nil, &ev)
			if err != nil {
				t.Fatalf("%s: %v", w, err)
			}
			tombstones := map[string]int{"DELETE": 1}[change]
			if meta.Object != "Widget__c" || meta.ChangeType != change || !meta.Time.Equal(time.UnixMilli(shapeMillis)) || meta.Gap != nil || meta.Records != 1 || meta.Tombstones != tombstones || len(records) != 1+tombstones {
				t.Errorf("%s: %s: %d records, %+v", w, change, len(records), meta)
			}
			for _, r := range records {
				var headers []string
				for _, h := range r.Headers {
					headers = append(headers, h.Key+"="+string(h.Value))
				}
				want := []string{"sf-org=" + shapeOrg, "sf-channel=/data/ChangeEvents", "sf-object=Widget__c", "sf-change-type=" + change, "sf-schema-id=" + shapeSchema, "sf-record-index=0", "sf-record-count=1"}
				if w.format == transform.Avro {
					headers = headers[:len(headers)-1] // the fingerprint of the schema
				}
				if r.Topic != "salesforce.Widget__c" || string(r.Key) != shapeID || r.Timestamp.UnixMilli() != shapeMillis || !slices.Equal(headers, want) {
					t.Errorf("%s: %s %s %s %q\nwant %q", w, r.Topic, r.Key, r.Timestamp, headers, want)
				}
			}
			if w == (way{transform.JSON, schemas.DebeziumEnvelope}) {
				op := map[string]string{"SNAPSHOT": `"transaction":null,"op":"r"`, "DELETE": `"transaction":null,"op":"d"`}[change]
				if text := string(records[0].Value); !strings.Contains(text, op) || !strings.Contains(text, fmt.Sprintf(`"snapshot":"%t"`, change == "SNAPSHOT")) {
					t.Errorf("%s: %s", change, text)
				}
			}
		}
	}
}

// TestHeaderOfTomorrow: fields of the header that are not known get a value that says
// nothing, or a refusal, and are never left out where there must be one (I5).
func TestHeaderOfTomorrow(t *testing.T) {
	org := widget()
	org.header = headerFields + `,{"name":"a","type":"boolean"},{"name":"b","type":["string","null"]},{"name":"c","type":{"type":"array","items":"int"}},` +
		`{"name":"d","type":"double"},{"name":"e","type":{"type":"string","x":1}},{"name":"f","type":"long","default":7},{"name":"g","type":["string","int"]}`
	client := shapeClient(t, org)
	ev := newShape(t, client, "Widget__c").Event(row(`{"F__c":"f"}`))
	if want := `"commitUser":"","a":false,"b":null,"c":[],"d":0,"e":"","g":"","entityName"`; !strings.Contains(string(ev.Payload), want) {
		t.Errorf("%s\nwant %s", ev.Payload, want)
	}
	encoders := newEncoders(t, client)
	for _, w := range ways() {
		encoders.record(t, w, ev)
	}
	for fields, want := range map[string]string{
		headerFields + `,{"name":"h","type":{"type":"record","name":"H","fields":[]}}`:   `field h must have a value`,
		headerFields + `,{"name":"h","type":{"type":"enum","name":"H","symbols":["A"]}}`: `"symbols":["A"]} none says nothing`,
		headerFields + `,{"name":"h","type":[]}`:                                         `field h must have a value`,
	} {
		org.header = fields
		_, err := snapshot.NewShape(t.Context(), snapshot.ShapeConfig{Client: client, Object: "Widget__c"})
		refused(t, err, want)
	}
}

func refused(t *testing.T, err error, want string) *snapshot.ObjectError {
	t.Helper()
	of, ok := errors.AsType[*snapshot.ObjectError](err)
	if !ok || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "; try: ") {
		t.Errorf("%v, want an *ObjectError that says %s", err, want)
	}
	return of
}

// TestNoShape: objects whose rows cannot be records beside events.
func TestNoShape(t *testing.T) {
	shapeOf := func(org http.RoundTripper, object string) error {
		_, err := snapshot.NewShape(t.Context(), snapshot.ShapeConfig{Client: shapeClient(t, org), Org: shapeOrg, Object: object})
		return err
	}
	uncovered := widget()
	uncovered.schema = ""
	err := shapeOf(uncovered, "Widget__c")
	if of := refused(t, err, "reading rows of Widget__c of org "+shapeOrg+": it has no events Widget__ChangeEvent, so Change Data Capture does not cover it ("); of != nil {
		if asked, ok := errors.AsType[*salesforce.APIError](err); !ok || asked.Status != 404 || !strings.Contains(of.Try, "source: query") {
			t.Errorf("%+v", of)
		}
	}
	for problem, schema := range map[string]string{
		`the text is no schema`:                  `[]`,
		`the id is missing`:                      `{"fields":[]}`,
		`the field ChangeEventHeader is missing`: `{"uuid":"x","fields":[{"name":"F__c","type":"string"}]}`,
		`the header is no record`:                `{"uuid":"x","fields":[{"name":"ChangeEventHeader","type":"string"}]}`,
	} {
		refused(t, shapeOf(answering{widget(), "/eventSchema", 200, schema}, "Widget__c"), problem)
	}
	refused(t, shapeOf(answering{widget(), "/describe", 200, `{"name":"Widget__c","fields":[{"name":"Id","type":"id"},{"name":"F__c","type":"string"}]}`}, "Widget__c"), "no SystemModstamp")

	var other *snapshot.ObjectError
	if err := shapeOf(widget(), "Gadget__c"); err == nil || errors.As(err, &other) {
		t.Errorf("an object that does not exist: %v", err)
	}
	busy := shapeOf(answering{widget(), "/eventSchema", 503, `[{"errorCode":"SERVER_UNAVAILABLE","message":"busy"}]`}, "Widget__c")
	if !salesforce.Retryable(busy) {
		t.Errorf("trouble that passes: %v", busy)
	}
}

// answering gives paths of an end another answer.
type answering struct {
	http.RoundTripper
	end    string
	status int
	text   string
}

func (a answering) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := a.RoundTripper.RoundTrip(r)
	if err == nil && strings.HasSuffix(r.URL.Path, a.end) {
		resp.StatusCode, resp.Body = a.status, io.NopCloser(strings.NewReader(a.text))
	}
	return resp, err
}

// issuing is a login at a simulated org.
type issuing struct{ org *orgsim.Org }

func (i issuing) Exchange(context.Context) (salesforce.Token, error) {
	access, err := i.org.Issue("")
	return salesforce.Token{Access: salesforce.Secret(access), InstanceURL: "https://acme.example"}, err
}

// TestRowsOfAnOrg: what the readers make of an org's rows has the records of the events
// that it published when they were created.
func TestRowsOfAnOrg(t *testing.T) {
	const each = 60
	now := time.Date(2026, 3, 4, 9, 15, 22, 481e6, time.UTC)
	org, err := orgsim.New(orgsim.Config{Seed: 7, Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	client, err := salesforce.NewClient(salesforce.ClientConfig{
		Tokens: salesforce.NewTokenSource(issuing{org}), APIVersion: "66.0", HTTP: &http.Client{Transport: org.RoundTripper()},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, object := range []string{"Account", "Contact", "Invoice__c"} {
		from := org.LedgerLen()
		if err := org.Bulk(orgsim.Bulk{Object: object, Count: each, Records: each}); err != nil {
			t.Fatal(err)
		}
		created := map[string][]byte{}
		for entry := range org.LedgerFrom(from) {
			created[entry.RecordIDs[0]] = entry.Payload
		}
		shape := newShape(t, client, object)
		if left := shape.Left(); len(left) > 0 {
			t.Errorf("%s: rows lack %+v", object, left)
		}
		encoders := newEncoders(t, client)
		for how, rows := range bothReaders(t, client, shape, org.AdvanceClock) {
			if len(rows) != each || len(created) != each {
				t.Fatalf("%s: %s: %d rows of %d", object, how, len(rows), len(created))
			}
			for _, r := range rows {
				encoders.sameRecord(t, shape.Event(r), created[r.ID])
			}
		}
	}
}
