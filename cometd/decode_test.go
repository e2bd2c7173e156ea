package cometd

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"
)

// changeEvents makes a connect reply of n change events of about 1.2 kB, as
// Salesforce writes them.
func changeEvents(n int) []byte {
	var b bytes.Buffer
	b.WriteByte('[')
	description := strings.Repeat("A text of some length, with \\\"quotes\\\" and Ümläuts. ", 8)
	for i := range n {
		fmt.Fprintf(&b, `{"data":{"schema":"TJ7XSrLXBLKw6fpdXgRzSg","payload":{"ChangeEventHeader":{"commitNumber":%d,`+
			`"commitUser":"005xx000001SvogAAC","sequenceNumber":%d,"entityName":"Account","changeType":"UPDATE",`+
			`"changedFields":["Rating","BillingAddress.City","Description","AnnualRevenue","LastModifiedDate"],`+
			`"changeOrigin":"com/salesforce/api/rest/59.0;client=SfdcInternalAPI/",`+
			`"transactionKey":"0001ade9-3f74-0b99-dbc4-42e73424b774","commitTimestamp":1772615722000,"recordIds":["001xx000003DGb2AAG"]},`+
			`"Rating":"Hot","BillingAddress":{"City":"Lyon","PostalCode":"69002","Latitude":45.7578137,"Longitude":4.8320114},`+
			`"Description":"%s","AnnualRevenue":1.2345678E7,"NumberOfEmployees":%d,"Active__c":true,"Parent":null,`+
			`"LastModifiedDate":"2026-03-04T09:15:22.000Z"},"event":{"replayId":%d,"EventUuid":"218544ad-0472-4315-970f-%012d"}},`+
			`"channel":"/data/AccountChangeEvent"},`, 10932465891+i, i, description, i, 65219+3*i, i)
	}
	b.WriteString(`{"clientId":"3k81w2p6xq1v9t0c2m5n7b4e6","channel":"/meta/connect","id":"4","successful":true}]`)
	return b.Bytes()
}

// decodeAll decodes a reply that arrives in reads of the given size.
func decodeAll(body []byte, chunk, read int) (events []Event, metas []reply, err error) {
	d := decoder{chunkSize: chunk, maxMessage: 16 << 20, names: interner{}}
	r := &pieces{rest: body, size: read}
	var f frame
	for {
		v, err := d.decode(&f)
		switch {
		case err != nil:
			return events, metas, err
		case v == gotFrame && f.meta():
			metas = append(metas, parseReply(f.raw))
		case v == gotFrame && f.hasData:
			events = append(events, f.event)
		case v == gotFrame:
		default:
			n, err := d.fill(r)
			if err == nil || n > 0 {
				continue
			}
			if v == gotEnd {
				return events, metas, nil
			}
			return events, metas, io.ErrUnexpectedEOF
		}
	}
}

type pieces struct {
	rest []byte
	size int
}

func (p *pieces) Read(b []byte) (int, error) {
	if len(p.rest) == 0 {
		return 0, io.EOF
	}
	n := copy(b, p.rest[:min(p.size, len(p.rest))])
	p.rest = p.rest[n:]
	return n, nil
}

// The same events come out however the reply arrives.
func TestDecodeInPieces(t *testing.T) {
	body := changeEvents(20)
	want, _, err := decodeAll(body, len(body)+1, len(body))
	if err != nil || len(want) != 20 {
		t.Fatalf("%d events, %v", len(want), err)
	}
	for _, chunk := range []int{1, 2, 100, 1000, 5000, 1 << 20} {
		for _, read := range []int{1, 3, 999, 1 << 20} {
			got, metas, err := decodeAll(body, chunk, read)
			if err != nil || len(got) != len(want) || len(metas) != 1 {
				t.Fatalf("chunk %d, read %d: %d events, %v", chunk, read, len(got), err)
			}
			for i := range want {
				if fmt.Sprintf("%+v", got[i]) != fmt.Sprintf("%+v", want[i]) {
					t.Errorf("chunk %d, read %d: event %d is %+v", chunk, read, i, got[i])
				}
			}
		}
	}
}

func TestDecodeRefuses(t *testing.T) {
	deep := strings.Repeat("[", maxDepth) + strings.Repeat("]", maxDepth)
	for _, body := range []string{
		`x`, `[`, `[]]`, `[][]`, `{}`, `[{}]`, `[1]`, `[null]`, `[,]`, `[{"channel":"/a"},]`, `[{"channel":"/a"} {"channel":"/a"}]`,
		`[{"channel":1}]`, `[{"channel":""}]`, `[{"channel":null}]`, `[{"channel":"/a",}]`, `[{"channel" "/a"}]`, `[{channel:"/a"}]`,
		`[{"channel":"/a","x":01}]`, `[{"channel":"/a","x":1.}]`, `[{"channel":"/a","x":.5}]`, `[{"channel":"/a","x":+1}]`,
		`[{"channel":"/a","x":1e}]`, `[{"channel":"/a","x":-}]`, `[{"channel":"/a","x":tru}]`, `[{"channel":"/a","x":"\x"}]`,
		`[{"channel":"/a","x":"\u12g4"}]`, "[{\"channel\":\"/a\",\"x\":\"\t\"}]", `[{"channel":"/a","x":[1,]}]`, `[{"channel":"/a","x":[,1]}]`,
		`[{"channel":"/a","x":{"a":1,}}]`, `[{"channel":"/a","x":{,"a":1}}]`, `[{"channel":"/a","x":{"a":}}]`, `[{"channel":"/a","x":[}]}]`,
		`[{"channel":"/a","x":` + deep + `}]`,
		`[{"channel":"/a","data":{"event":{"replayId":9223372036854775808}}}]`,
		`[{"channel":"/a","data":{"event":{"replayId":-9223372036854775809}}}]`,
		`[{"channel":"/a","data":{"event":{"replayId":1.0}}}]`,
		`[{"channel":"/a","data":{"event":{"replayId":1e3}}}]`,
		`[{"channel":"/a","data":{"event":{"replayId":"7"}}}]`,
		`[{"channel":"/a","data":{"event":{"replayId":[7]}}}]`,
	} {
		for _, read := range []int{1, 1 << 20} {
			events, _, err := decodeAll([]byte(body), 64, read)
			var frame *FrameError
			if !errors.As(err, &frame) && !errors.Is(err, io.ErrUnexpectedEOF) || len(events) > 0 {
				t.Errorf("%.60s: %d events, %v", body, len(events), err)
			}
			if frame != nil && (frame.Offset < 0 || frame.Offset > int64(len(body))) {
				t.Errorf("%.60s: offset %d", body, frame.Offset)
			}
		}
	}
}

func TestDecodeAccepts(t *testing.T) {
	nested := strings.Repeat("[", maxDepth-1) + strings.Repeat("]", maxDepth-1)
	for _, row := range []struct{ name, body, want string }{
		{"empty array", " [ ] ", ""},
		{"bare object", `{"channel":"/a","data":{"event":{"replayId":1}}}`, "/a 1"},
		{"order of members", `[{"channel":"/a","data":{"event":{"replayId":1}}},{"data":{"event":{"replayId":2}},"channel":"/b"}]`, "/a 1|/b 2"},
		{"escaped names", `[{"\u0063hannel":"\/a","d\u0061ta":{"\u0065vent":{"replay\u0049d":5,"\u0045ventUuid":"\u0041"}}}]`, "/a 5 uuid=A"},
		{"largest id", `[{"channel":"/a","data":{"event":{"replayId":9223372036854775807}}}]`, "/a 9223372036854775807"},
		{"smallest id", `[{"channel":"/a","data":{"event":{"replayId":-9223372036854775808}}}]`, "/a -9223372036854775808"},
		{"null id", `[{"channel":"/a","data":{"event":{"replayId":null}}}]`, "/a none"},
		{"no event", `[{"channel":"/a","data":{"payload":"x"}}]`, "/a none"},
		{"event of another type", `[{"channel":"/a","data":{"event":[1]}}]`, "/a none"},
		{"data of another type", `[{"channel":"/a","data":"hello"}]`, "/a none"},
		{"data null", `[{"channel":"/a","data":null}]`, "/a none"},
		{"no data", `[{"channel":"/a","successful":true}]`, ""},
		{"member twice", `[{"channel":"/x","data":{"event":{"replayId":1,"EventUuid":"u"}},"data":{"event":{"replayId":2}},"channel":"/a"}]`, "/a 2"},
		{"event twice", `[{"channel":"/a","data":{"event":{"replayId":1,"EventUuid":"u"},"event":{}}}]`, "/a none"},
		{"schema in data", `[{"channel":"/a","data":{"event":{"schema":"old","replayId":1},"schema":"new"}}]`, "/a 1 schema=new"},
		{"schema in event", `[{"channel":"/a","data":{"event":{"schema":"old","replayId":1}}}]`, "/a 1 schema=old"},
		{"schema of another type", `[{"channel":"/a","data":{"schema":7,"event":{"replayId":1}}}]`, "/a 1"},
		{"nested", `[{"channel":"/a","x":` + nested + `,"data":{"event":{"replayId":1}}}]`, "/a 1"},
		{"numbers", `[{"channel":"/a","x":[0,-0,1.5,-1.5e+10,1E-2,123456789012345678901234567890],"data":{"event":{"replayId":1}}}]`, "/a 1"},
	} {
		t.Run(row.name, func(t *testing.T) {
			for _, read := range []int{1, 5, 1 << 20} {
				events, _, err := decodeAll([]byte(row.body), 16, read)
				if err != nil {
					t.Fatal(err)
				}
				var got []string
				for _, e := range events {
					s := e.Channel + " none"
					if e.HasReplayID {
						s = fmt.Sprint(e.Channel, " ", e.ReplayID)
					}
					if e.UUID != "" {
						s += " uuid=" + e.UUID
					}
					if e.Schema != "" {
						s += " schema=" + e.Schema
					}
					got = append(got, s)
				}
				if s := strings.Join(got, "|"); s != row.want {
					t.Errorf("read %d: got %q, want %q", read, s, row.want)
				}
			}
		})
	}
}

// A large message in small reads must not be scanned anew for each of them:
// that would be hundreds of gigabytes here, and takes a second at most this way.
func TestLargeMessageIsScannedOnce(t *testing.T) {
	const size = 15 << 20
	body := []byte(`[{"channel":"/a","data":{"payload":"` + strings.Repeat("x", size) + `","event":{"replayId":1}}}]`)
	start := time.Now()
	events, _, err := decodeAll(body, 64<<10, 512)
	if err != nil || len(events) != 1 || len(events[0].Payload) != size+2 {
		t.Fatalf("%d events, %v", len(events), err)
	}
	if d := time.Since(start); d > 10*time.Second {
		t.Errorf("took %v", d)
	}
}

func TestDecodeAllocations(t *testing.T) {
	const n = 2000
	body := changeEvents(n)
	d := decoder{chunkSize: 256 << 10, maxMessage: 16 << 20, names: interner{}}
	var box inbox
	r := &pieces{}
	allocs := testing.AllocsPerRun(5, func() {
		if got := drain(t, &d, &box, r, body); got != n {
			t.Fatalf("%d events", got)
		}
	})
	if per := allocs / n; per > 1.5 {
		t.Errorf("%.2f allocations an event, want at most 1.5: the uuid, and a share of the slices", per)
	}
}

// drain decodes a reply as the client does, handing out a batch for each chunk.
func drain(t testing.TB, d *decoder, box *inbox, r *pieces, body []byte) (events int) {
	*r = pieces{rest: body, size: 64 << 10}
	d.reset()
	var f frame
	for {
		v, err := d.decode(&f)
		switch {
		case err != nil:
			t.Fatal(err)
		case v == gotFrame && f.meta():
			parseReply(f.raw)
		case v == gotFrame:
			box.add(&f.event, d.offset(d.next))
		default:
			if v == gotEnd {
				box.release()
			}
			events += len(box.take())
			if n, _ := d.fill(r); n == 0 {
				return events
			}
		}
	}
}

func BenchmarkDecode(b *testing.B) {
	const n = 2000
	body := changeEvents(n)
	d := decoder{chunkSize: 256 << 10, maxMessage: 16 << 20, names: interner{}}
	var box inbox
	r := &pieces{}
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		if got := drain(b, &d, &box, r, body); got != n {
			b.Fatalf("%d events", got)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/event")
}

// BenchmarkDecodeEncodingJSON is the baseline: what a client does that reads the
// whole reply and unmarshals it.
func BenchmarkDecodeEncodingJSON(b *testing.B) {
	const n = 2000
	body := changeEvents(n)
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		var messages []struct {
			Channel string
			Data    struct {
				Schema  string
				Payload json.RawMessage
				Event   struct {
					ReplayID     *int64 `json:"replayId"`
					EventUuid    string
					EventApiName string
				}
			}
		}
		if err := json.Unmarshal(body, &messages); err != nil || len(messages) != n+1 {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/event")
}
