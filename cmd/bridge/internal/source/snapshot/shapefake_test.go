package snapshot_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sfbridge/bridge/cmd/bridge/internal/source/snapshot"
	"github.com/sfbridge/bridge/salesforce"
)

const (
	shapeOrg    = "00Dxx0000001gPLEAY"
	shapeID     = "a0Bxx0000003DGbEAM"
	shapeSchema = "dHuV0cFj_n8yXJLbJcPZJA"
	shapeMillis = 1772615722000 // of the row's SystemModstamp
)

// headerFields are those of every change event's header.
const headerFields = `{"name":"entityName","type":"string"},{"name":"recordIds","type":{"type":"array","items":"string"}},` +
	`{"name":"changeType","type":{"type":"enum","name":"ChangeType","symbols":["CREATE","UPDATE","DELETE","UNDELETE","SNAPSHOT","GAP_CREATE","GAP_UPDATE","GAP_DELETE","GAP_UNDELETE","GAP_OVERFLOW"]}},` +
	`{"name":"changeOrigin","type":"string"},{"name":"transactionKey","type":"string"},{"name":"sequenceNumber","type":"int"},` +
	`{"name":"commitTimestamp","type":"long"},{"name":"commitNumber","type":"long"},{"name":"commitUser","type":"string"},` +
	`{"name":"nulledFields","type":{"type":"array","items":"string"}},{"name":"diffFields","type":{"type":"array","items":"string"}},` +
	`{"name":"changedFields","type":{"type":"array","items":"string"}}`

// oneObject is an org with one object of one row, as both readers see it.
type oneObject struct {
	name   string // Widget__c if empty
	fields []salesforce.Field
	header string            // fields of the header, headerFields if empty
	schema string            // fields behind the header
	rest   string            // members of the row as REST has it
	csv    map[string]string // and as Bulk API has it: columns and their text
}

func (o *oneObject) object() string {
	if o.name == "" {
		return "Widget__c"
	}
	return o.name
}

func (o *oneObject) event() string {
	if base, ok := strings.CutSuffix(o.object(), "__c"); ok {
		return base + "__ChangeEvent"
	}
	return o.object() + "ChangeEvent"
}

func (o *oneObject) schemaText() []byte {
	header := o.header
	if header == "" {
		header = headerFields
	}
	return fmt.Appendf(nil, `{"name":%q,"namespace":"com.sforce.eventbus","type":"record","fields":[{"name":"ChangeEventHeader",`+
		`"type":{"type":"record","name":"ChangeEventHeader","fields":[%s]}},%s],"uuid":%q}`, o.event(), header, o.schema, shapeSchema)
}

func (o *oneObject) described() []byte {
	fields := append([]salesforce.Field{{Name: "Id", Type: "id"}, {Name: "IsDeleted", Type: "boolean"}, {Name: "SystemModstamp", Type: "datetime"}}, o.fields...)
	text, err := json.Marshal(salesforce.Describe{Name: o.object(), Fields: fields})
	if err != nil {
		panic(err) // it has nothing that JSON lacks
	}
	return text
}

func (o *oneObject) RoundTrip(r *http.Request) (*http.Response, error) {
	status, header, text := 404, http.Header{}, []byte(`[{"errorCode":"NOT_FOUND","message":"The requested resource does not exist"}]`)
	path := strings.TrimPrefix(r.URL.Path, "/services/data/v66.0")
	switch {
	case strings.EqualFold(path, "/sobjects/"+o.object()+"/describe"):
		status, text = 200, o.described()
	case path == "/sobjects/"+o.event()+"/eventSchema" && o.schema != "", path == "/event/eventSchema/"+shapeSchema:
		status, text = 200, o.schemaText()
	case path == "/query":
		status, text = 200, fmt.Appendf(nil, `{"totalSize":1,"done":true,"records":[{"attributes":{"type":"x"},"Id":%q,"IsDeleted":false,`+
			`"SystemModstamp":"2026-03-04T09:15:22.000+0000",%s}]}`, shapeID, o.rest)
	case strings.HasSuffix(path, "/results"):
		status, text = 200, o.page()
		header = http.Header{"Sforce-Locator": {"null"}, "Sforce-Numberofrecords": {"1"}}
	case strings.HasPrefix(path, "/jobs/query"):
		status, text = 200, []byte(`{"id":"7501","state":"JobComplete","apiVersion":66.0}`)
	}
	return &http.Response{StatusCode: status, Header: header, Request: r, ContentLength: -1, Body: io.NopCloser(bytes.NewReader(text))}, nil
}

func (o *oneObject) page() []byte {
	names := slices.Sorted(maps.Keys(o.csv))
	values := make([]string, len(names))
	for i, name := range names {
		values[i] = o.csv[name]
	}
	return []byte(`Id,IsDeleted,SystemModstamp,` + strings.Join(names, ",") + "\n" +
		`"` + shapeID + `","false","2026-03-04T09:15:22.000Z",` + strings.Join(values, ",") + "\n")
}

// anyone is a login that always succeeds.
type anyone struct{}

func (anyone) Exchange(context.Context) (salesforce.Token, error) {
	return salesforce.Token{Access: "00Dxx!token", InstanceURL: "https://acme.example"}, nil
}

func shapeClient(tb testing.TB, org http.RoundTripper) *salesforce.Client {
	tb.Helper()
	client, err := salesforce.NewClient(salesforce.ClientConfig{
		Tokens: salesforce.NewTokenSource(anyone{}), APIVersion: "66.0", HTTP: &http.Client{Transport: org},
	})
	if err != nil {
		tb.Fatal(err)
	}
	return client
}

func newShape(tb testing.TB, client *salesforce.Client, object string) *snapshot.Shape {
	tb.Helper()
	shape, err := snapshot.NewShape(tb.Context(), snapshot.ShapeConfig{Client: client, Org: shapeOrg, Channel: "/data/ChangeEvents", Object: object})
	if err != nil {
		tb.Fatal(err)
	}
	return shape
}

// bothReaders reads all rows of a shape, in no order, by queries and by a job. Where it
// would wait it calls wait.
func bothReaders(tb testing.TB, client *salesforce.Client, shape *snapshot.Shape, wait func(time.Duration)) map[string][]salesforce.Row {
	tb.Helper()
	reader, err := salesforce.NewReader(salesforce.ReaderConfig{Client: client, Wait: func(ctx context.Context, d time.Duration) error {
		wait(d)
		return ctx.Err()
	}})
	if err != nil {
		tb.Fatal(err)
	}
	query, err := reader.Query(tb.Context(), salesforce.Selection{Form: shape.Form()})
	if err != nil {
		tb.Fatal(err)
	}
	bulk, err := reader.Bulk(tb.Context(), salesforce.Selection{Form: shape.Form()})
	if err != nil {
		tb.Fatal(err)
	}
	all := map[string][]salesforce.Row{}
	for how, rows := range map[string]salesforce.Rows{"rest": query, "bulk": bulk} {
		for {
			row, err := rows.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				tb.Fatalf("%s: %v", how, err)
			}
			all[how] = append(all[how], row)
		}
		if err := rows.Close(); err != nil {
			tb.Fatalf("%s: %v", how, err)
		}
	}
	return all
}
