package integration

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/sfbridge/bridge/integration/foreign"
	"github.com/sfbridge/bridge/integration/oracle"
	"github.com/sfbridge/bridge/integration/orgsim"
)

// judge holds what the org published against what one reader decoded. It looks
// at what Salesforce sent, and at nothing that the bridge says of it.
type judge struct {
	org       string // its id
	prefix    string // of the record topics
	channels  []string
	began     time.Time
	published map[subject]published

	records, values int
	valued          map[string]bool // Object.Field, if some record had a value there
	kinds           map[string]int  // what was seen that is not plain
	schemas         map[string]map[int]bool
	differences     []string
}

// subject is which event a record is about: several may share a replay id, and
// an event may be about several records.
type subject struct {
	replayID int64
	key      string
}

type published struct {
	orgsim.Entry
	channel string
	payload map[string]any
	index   int // among the records of the event
}

func (s *site) judge(t *testing.T, began time.Time) *judge {
	t.Helper()
	j := &judge{org: s.org.ID(), prefix: s.prefix, channels: s.channels, began: began,
		published: map[subject]published{}, valued: map[string]bool{}, kinds: map[string]int{}, schemas: map[string]map[int]bool{}}
	for e := range s.org.LedgerFrom(0) {
		p := published{Entry: e, payload: decode(t, e.Payload)}
		for _, c := range e.Channels {
			if slices.Contains(s.channels, c) {
				p.channel = c
			}
		}
		if e.ChangeType == "" {
			j.published[subject{e.ReplayID, e.UUID}] = p
		}
		for i, id := range e.RecordIDs {
			p.index = i
			j.published[subject{e.ReplayID, id}] = p
		}
	}
	return j
}

func decode(t *testing.T, text []byte) map[string]any {
	t.Helper()
	out, err := parseObject(text)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func parseObject(text []byte) (map[string]any, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var out map[string]any
	if err := d.Decode(&out); err != nil {
		return nil, fmt.Errorf("%w in %s", err, text)
	}
	return out, nil
}

func (j *judge) differ(format string, args ...any) {
	j.differences = append(j.differences, fmt.Sprintf(format, args...))
}

// identities checks that exactly the records that the ledger demands were read,
// in the order of each key.
func (j *judge) identities(want []oracle.Record, records []foreign.Record) {
	got := make([]oracle.Record, 0, len(records))
	for i := range records {
		r := &kgo.Record{Topic: records[i].Topic, Offset: records[i].Offset, Key: records[i].Key, Value: records[i].Value}
		for _, h := range records[i].Headers {
			r.Headers = append(r.Headers, kgo.RecordHeader{Key: h.Key, Value: h.Value})
		}
		id, err := oracle.Read(r)
		if err != nil {
			j.differ("%v", err)
		}
		got = append(got, id)
	}
	j.differences = append(j.differences, oracle.Compare(want, got)...)
}

// record checks topic, time, headers and every field of a record.
func (j *judge) record(r *foreign.Record) {
	j.records++
	replayID, _ := r.Header("sf-replay-id")
	id, err := strconv.ParseInt(string(replayID), 10, 64)
	at := fmt.Sprintf("%s/%d@%d", r.Topic, r.Partition, r.Offset)
	e, ok := j.published[subject{id, string(r.Key)}]
	if err != nil || !ok {
		j.differ("%s: no event has the replay id %q and concerns %q", at, replayID, r.Key)
		return
	}
	at = fmt.Sprintf("%s (%s of %s at replay id %d)", at, e.ChangeType, r.Key, id)
	if r.Topic != j.prefix+"."+e.Object {
		j.differ("%s: an event of %s", at, e.Object)
	}
	if want := e.millis(); r.Timestamp != want {
		j.differ("%s: its time is %d, want %d", at, r.Timestamp, want)
	}
	if got, want := headerLines(r), e.headers(j.org); !slices.Equal(got, want) {
		j.differ("%s: headers\n%q, want\n%q", at, got, want)
	}
	if r.Value == nil {
		if e.ChangeType != "DELETE" {
			j.differ("%s: a tombstone", at)
		}
		j.kinds["tombstone"]++
		return
	}
	got, err := parseObject(r.Value)
	if err != nil {
		j.differ("%s: %v", at, err)
		return
	}
	if j.schemas[e.Object] == nil {
		j.schemas[e.Object] = map[int]bool{}
	}
	j.schemas[e.Object][r.SchemaID] = true
	j.kinds[e.ChangeType]++
	if e.index > 0 {
		j.kinds["merged"]++
	}
	j.lists(at, e, got)
	for name, value := range got {
		if value != nil {
			j.valued[e.Object+"."+name] = true
		}
	}
	j.fields(at, e.payload, got)
}

// millis is when the event happened.
func (p *published) millis() int64 {
	if p.ChangeType == "" {
		created, _ := p.payload["CreatedDate"].(string)
		return millis(created)
	}
	return p.Commit.UnixMilli()
}

// headers are those that the record of an event must have, in their order.
func (p *published) headers(org string) []string {
	out := []string{"sf-org=" + org, "sf-channel=" + p.channel, fmt.Sprintf("sf-replay-id=%d", p.ReplayID), "sf-object=" + p.Object}
	count := 1
	if p.ChangeType == "" {
		out = append(out, "sf-schema-id="+p.SchemaID, "sf-event-uuid="+p.UUID)
	} else {
		h, _ := p.payload["ChangeEventHeader"].(map[string]any)
		out = append(out, "sf-change-type="+p.ChangeType, "sf-schema-id="+p.SchemaID, "sf-transaction-key="+p.TransactionKey,
			fmt.Sprintf("sf-sequence=%d", p.Sequence), fmt.Sprintf("sf-commit-number=%v", h["commitNumber"]))
		count = len(p.RecordIDs)
	}
	return append(out, fmt.Sprintf("sf-record-index=%d", p.index), fmt.Sprintf("sf-record-count=%d", count))
}

func headerLines(r *foreign.Record) []string {
	var out []string
	for _, h := range r.Headers {
		out = append(out, h.Key+"="+string(h.Value))
	}
	return out
}

// lists checks what Salesforce says by the payload's form only, and a record
// must say in words: which fields an UPDATE cleared, and which are diffs.
func (j *judge) lists(at string, e published, got map[string]any) {
	if e.ChangeType == "" {
		return
	}
	h, _ := got["ChangeEventHeader"].(map[string]any)
	nulled, diffs := []string{}, []string{}
	for name, value := range e.payload {
		parts, isParts := value.(map[string]any)
		if _, isDiff := parts["diff"]; isDiff && len(parts) == 1 {
			diffs = append(diffs, name)
			continue
		}
		if value == nil {
			nulled = append(nulled, name)
		}
		for part, v := range parts {
			if isParts && v == nil && name != "ChangeEventHeader" {
				nulled = append(nulled, name+"."+part)
			}
		}
	}
	if e.ChangeType != "UPDATE" {
		nulled = []string{}
	}
	for name, want := range map[string][]string{"nulledFields": nulled, "diffFields": diffs} {
		list, _ := h[name].([]any)
		found := []string{}
		for _, v := range list {
			found = append(found, fmt.Sprint(v))
		}
		if len(found) > 0 {
			j.kinds[name]++
		}
		slices.Sort(found)
		slices.Sort(want)
		if !slices.Equal(found, want) {
			j.differ("%s: %s are %q, want %q", at, name, found, want)
		}
	}
}

// fields checks that every field that Salesforce sent has its value in the
// record, and every other one is null, and counts them.
func (j *judge) fields(at string, sent, got map[string]any) {
	for _, name := range slices.Sorted(maps.Keys(got)) {
		value, ok := sent[name]
		if parts, nested := value.(map[string]any); nested {
			if diff, isDiff := parts["diff"]; isDiff && len(parts) == 1 {
				value = diff
			} else if inner, isRecord := got[name].(map[string]any); isRecord {
				j.fields(at+" "+name, parts, inner)
				continue
			}
		}
		j.values++
		switch {
		case ok && !sameValue(value, got[name]):
			j.differ("%s: %s is %v, Salesforce sent %v", at, name, got[name], value)
		case !ok && name != "nulledFields" && name != "diffFields" && got[name] != nil:
			j.differ("%s: %s is %v and Salesforce did not send it", at, name, got[name])
		}
	}
	for name := range sent {
		if _, ok := got[name]; !ok {
			j.differ("%s: %s is missing", at, name)
		}
	}
}

// gaps checks the gap ledger against the events that leave something open.
func (j *judge) gaps(records []foreign.Record) {
	want := map[string]published{}
	for id, e := range j.published {
		if reasonOf(e.Entry) != "" {
			want[strconv.FormatInt(id.replayID, 10)] = e
		}
	}
	for i := range records {
		j.records++
		r := &records[i]
		at := fmt.Sprintf("%s/%d@%d", r.Topic, r.Partition, r.Offset)
		got, err := parseObject(r.Value)
		if err != nil {
			j.differ("%s: %v", at, err)
			continue
		}
		from, _ := got["fromPosition"].(string)
		e, ok := want[from]
		if !ok {
			j.differ("%s: no event leaves anything open at %q", at, from)
			continue
		}
		delete(want, from)
		j.gap(at, r, e, got)
	}
	for position := range want {
		j.differ("the gap ledger has no entry for the event at %s", position)
	}
}

func (j *judge) gap(at string, r *foreign.Record, e published, got map[string]any) {
	ids := []any{}
	for _, id := range e.RecordIDs {
		ids = append(ids, id)
	}
	position, commit := strconv.FormatInt(e.ReplayID, 10), json.Number(strconv.FormatInt(e.Commit.UnixMilli(), 10))
	want := map[string]any{
		"id": string(r.Key), "org": j.org, "channel": e.channel, "object": e.Object, "reason": reasonOf(e.Entry),
		"changeType": e.ChangeType, "recordIds": ids, "fromPosition": position, "toPosition": position,
		"fromTime": commit, "toTime": commit, "state": "open",
		"detected": got["detected"], "detail": got["detail"], // no event says these
	}
	j.fields(at, want, got)
	detected, _ := strconv.ParseInt(fmt.Sprint(got["detected"]), 10, 64)
	if detected < j.began.UnixMilli() || detected > time.Now().UnixMilli() {
		j.differ("%s: detected at %v", at, got["detected"])
	}
	if detail, _ := got["detail"].(string); detail == "" {
		j.differ("%s: it says nothing to people", at)
	}
}

// reasonOf says why an event is an entry of the gap ledger, "" if it is none.
func reasonOf(e orgsim.Entry) string {
	switch {
	case e.ChangeType == "GAP_OVERFLOW":
		return "overflow"
	case strings.HasPrefix(e.ChangeType, "GAP_"):
		return "gap_event"
	case len(e.RecordIDs) == 1 && strings.HasSuffix(e.RecordIDs[0], "*"):
		return "wildcard"
	}
	return ""
}

// sameValue compares what Salesforce wrote in JSON with what an Avro reader has:
// times are milliseconds there, numbers may be written in other ways.
func sameValue(sent, got any) bool {
	switch v := sent.(type) {
	case json.Number:
		n, ok := got.(json.Number)
		return ok && sameNumber(v, n)
	case string:
		if n, isNumber := got.(json.Number); isNumber {
			at := millis(v)
			return at != noTime && strconv.FormatInt(at, 10) == n.String()
		}
	}
	return reflect.DeepEqual(sent, got)
}

// sameNumber: integers have the same digits; a number that is written with a
// fraction or an exponent on one side is a double on both.
func sameNumber(a, b json.Number) bool {
	const exact = 1 << 53 // below it a double has every integer
	whole := func(n json.Number) bool { return !strings.ContainsAny(n.String(), ".eE") }
	if whole(a) && whole(b) {
		return a == b
	}
	x, errX := a.Float64()
	y, errY := b.Float64()
	return errX == nil && errY == nil && x == y && ((!whole(a) && !whole(b)) || math.Abs(x) < exact)
}

const noTime = math.MinInt64

// millis is the number that a date, a time or both become.
func millis(text string) int64 {
	for layout, midnight := range map[string]bool{"2006-01-02T15:04:05.000Z": false, "2006-01-02": false, "15:04:05.000Z": true} {
		at, err := time.Parse(layout, text)
		if err != nil {
			continue
		}
		if midnight {
			return at.Sub(time.Date(0, 1, 1, 0, 0, 0, 0, time.UTC)).Milliseconds()
		}
		return at.UnixMilli()
	}
	return noTime
}
