package salesforce_test

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strconv"
	"testing"

	"github.com/sfbridge/bridge/salesforce"
)

// madeOrg makes rows while they are read, so that a test of memory sees the
// reader's alone.
type madeOrg struct{ rows int }

func (o madeOrg) RoundTrip(r *http.Request) (*http.Response, error) {
	reply := func(head string, row func(i int) []byte, tail string) (*http.Response, error) {
		resp := rowsReply(r, 200, http.Header{"Sforce-Locator": {"null"}, "Sforce-Numberofrecords": {strconv.Itoa(o.rows)}}, nil)
		resp.Body = io.NopCloser(&madeBody{rows: o.rows, row: row, tail: tail, rest: []byte(head)})
		return resp, nil
	}
	switch {
	case r.Method == http.MethodPost:
		return rowsReply(r, 200, nil, []byte(`{"id":"7501","state":"JobComplete","apiVersion":66.0}`)), nil
	case r.Method == http.MethodDelete:
		return rowsReply(r, 204, nil, nil), nil
	case r.URL.Path == "/services/data/v66.0/query":
		head := `{"totalSize":` + strconv.Itoa(o.rows) + `,"done":true,"records":[`
		return reply(head, func(i int) []byte {
			text := madeRecord(i).json()
			if i > 0 {
				text = append([]byte(","), text...)
			}
			return text
		}, `]}`)
	}
	return reply(`"Id","SystemModstamp","IsDeleted","Name","Note__c"`+"\n", func(i int) []byte { return []byte(madeRecord(i).csv()) }, "")
}

func madeRecord(i int) rowsRecord {
	id, err := salesforce.ID18(fmt.Sprintf("001xx0000%06d", i+1))
	if err != nil {
		panic(err)
	}
	return rowsRecord{id: id, name: `Acme, "the" one`, note: "a note of some length,\nin two lines"}
}

type madeBody struct {
	rows, next int
	row        func(i int) []byte
	tail       string
	rest       []byte
}

func (b *madeBody) Read(p []byte) (int, error) {
	for len(b.rest) == 0 {
		switch {
		case b.next < b.rows:
			b.rest = b.row(b.next)
			b.next++
		case b.tail != "":
			b.rest, b.tail = []byte(b.tail), ""
		default:
			return 0, io.EOF
		}
	}
	n := copy(p, b.rest)
	b.rest = b.rest[n:]
	return n, nil
}

// openMade opens rows of a madeOrg with one reply for all of them.
func openMade(t testing.TB, how string, org http.RoundTripper, rows int) salesforce.Rows {
	t.Helper()
	reader := newReader(t, org, func(c *salesforce.ReaderConfig) { c.PageRows = rows + 1 })
	selection := salesforce.Selection{Form: rowsForm(t)}
	if how == "bulk" {
		bulk, err := reader.Bulk(t.Context(), selection)
		if err != nil {
			t.Fatal(err)
		}
		return bulk
	}
	query, err := reader.Query(t.Context(), selection)
	if err != nil {
		t.Fatal(err)
	}
	return query
}

// TestRowsMemory: a reply of 100,000 rows is never in memory.
func TestRowsMemory(t *testing.T) {
	const n, most = 100_000, 4 << 20
	for _, how := range []string{"query", "bulk"} {
		rows := openMade(t, how, madeOrg{n}, n)
		var before, now runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		for i := range n {
			if _, err := rows.Next(); err != nil {
				t.Fatalf("%s: row %d: %v", how, i, err)
			}
			if i%20_000 == 10_000 {
				runtime.GC()
				runtime.ReadMemStats(&now)
				if now.HeapAlloc > before.HeapAlloc+most {
					t.Errorf("%s: %d bytes more at row %d", how, now.HeapAlloc-before.HeapAlloc, i)
				}
			}
		}
		if _, err := rows.Next(); !errors.Is(err, io.EOF) {
			t.Errorf("%s: %v", how, err)
		}
		if err := rows.Close(); err != nil {
			t.Error(err)
		}
	}
}

// BenchmarkRows compares the readers with the plain way of the standard library: a
// page into a slice of maps, a record of CSV into a map.
func BenchmarkRows(b *testing.B) {
	const n = 2000
	var page, lines bytes.Buffer
	page.WriteString(`{"totalSize":2000,"done":true,"records":[`)
	lines.WriteString(`"Id","SystemModstamp","IsDeleted","Name","Note__c"` + "\n")
	for i := range n {
		if i > 0 {
			page.WriteByte(',')
		}
		page.Write(madeRecord(i).json())
		lines.WriteString(madeRecord(i).csv())
	}
	page.WriteString(`]}`)
	perRow := func(b *testing.B, run func()) {
		b.ReportAllocs()
		for b.Loop() {
			run()
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/row")
	}
	for _, how := range []string{"query", "bulk"} {
		org := fixedOrg{page: page.Bytes(), lines: lines.Bytes(), rows: n}
		b.Run(how, func(b *testing.B) {
			perRow(b, func() {
				rows := openMade(b, how, org, n)
				for range n {
					if _, err := rows.Next(); err != nil {
						b.Fatal(err)
					}
				}
			})
		})
	}
	b.Run("encoding-json", func(b *testing.B) {
		perRow(b, func() {
			var reply struct{ Records []map[string]any }
			if err := json.Unmarshal(page.Bytes(), &reply); err != nil {
				b.Fatal(err)
			}
			for _, record := range reply.Records {
				_ = marshal(record)
			}
		})
	})
	b.Run("encoding-csv", func(b *testing.B) {
		perRow(b, func() {
			r := csv.NewReader(bytes.NewReader(lines.Bytes()))
			header, err := r.Read()
			for err == nil {
				var values []string
				values, err = r.Read()
				record := map[string]any{}
				for i, value := range values {
					record[header[i]] = value
				}
				_ = marshal(record)
			}
		})
	})
}

// fixedOrg has one page, made beforehand.
type fixedOrg struct {
	page, lines []byte
	rows        int
}

func (o fixedOrg) RoundTrip(r *http.Request) (*http.Response, error) {
	switch {
	case r.Method == http.MethodPost:
		return rowsReply(r, 200, nil, []byte(`{"id":"7501","state":"JobComplete","apiVersion":66.0}`)), nil
	case r.URL.Path == "/services/data/v66.0/query":
		return rowsReply(r, 200, nil, o.page), nil
	}
	return rowsReply(r, 200, http.Header{"Sforce-Locator": {"null"}, "Sforce-Numberofrecords": {strconv.Itoa(o.rows)}}, o.lines), nil
}
