package replay

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write the golden files of testdata")

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, append(got, '\n'), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(append(got, '\n'), want) {
		t.Errorf("the wire form has changed, so that topics written by other versions are not readable any more\n got %s\nwant %s", got, want)
	}
}

// The wire form is what running bridges of other versions read and write.
func TestWireForm(t *testing.T) {
	full := Entry{
		Key:       Key{Org: orgA, Channel: "/data/AccountChangeEvent"},
		Position:  "1234567890123",
		EventTime: time.Date(2026, 2, 3, 4, 5, 6, 789_000_000, time.FixedZone("", 3600)),
		Updated:   time.Date(2026, 2, 3, 4, 5, 7, 0, time.UTC),
		Source:    "cometd",
		Owner:     "host-1",
	}
	for name, e := range map[string]Entry{
		"position.json":         full,
		"position-minimal.json": {Key: full.Key, Position: "7", Source: "cometd"},
		"position-since.json":   {Key: full.Key, Since: full.EventTime, Source: "cometd"},
		"position-seen.json":    {Key: full.Key, Position: "7", EventTime: full.EventTime, Seen: full.EventTime.Add(time.Hour), Source: "cometd"},
		"position-binary.json":  {Key: full.Key, Position: "\x00\xff\xfe", Source: "pubsub"},
		"position-bus.json":     {Key: full.Key, Position: "7", Source: "cometd", OrgInstance: "USA412", Generation: 3},
		"position-escapes.json": {Key: full.Key, Position: "<a&b>\"\n\u2028", Source: "x", Owner: "bad \xff utf8"},
	} {
		t.Run(name, func(t *testing.T) {
			value := encodeEntry(e)
			golden(t, name, value)
			got, err := decodeEntry(e.Key, value)
			if err != nil {
				t.Fatal(err)
			}
			e.EventTime, e.Updated, e.Since, e.Seen = e.EventTime.UTC(), e.Updated.UTC(), e.Since.UTC(), e.Seen.UTC()
			e.Owner = strings.ToValidUTF8(e.Owner, "\ufffd")
			if got != e {
				t.Errorf("%+v, want %+v", got, e)
			}
		})
	}
	golden(t, "barrier.json", encode(wireBarrier{V: version, Org: orgA, Token: "TOKEN"}))
}

func TestDecodeIsStrict(t *testing.T) {
	for value, mention := range map[string]string{
		`{"v":2,"position":"1","source":"x"}`:                          "version 2",
		`{"v":2,"cursor":{"a":1}}`:                                     "newer",
		`{"position":"1","source":"x"}`:                                "no version",
		`{"v":1,"position":"1","source":"x","extra":true}`:             "extra",
		`{"v":1,"position":"1","source":"x"} {}`:                       "after top-level",
		`{"v":1,"position":"1","source":"x"}x`:                         "",
		`{"v":1,"source":"x"}`:                                         "no position",
		`{"v":1,"position":"","source":"x"}`:                           "no position",
		`{"v":1,"position":1,"source":"x"}`:                            "position",
		`{"v":1,"position":"1","position_base64":"MQ==","source":"x"}`: "both",
		`{"v":1,"position_base64":"MQ=","source":"x"}`:                 "position_base64",
		`{"v":1,"position":"1","source":"x","updated":"yesterday"}`:    "",
		`{"v":"1","position":"1","source":"x"}`:                        "",
		`["v"]`:                                                        "JSON object",
		`null`:                                                         "no version",
		``:                                                             "JSON object",
		"{\"v\":1,\"position\":\"\xff\",\"source\":\"x\"}":             "UTF-8",
		`{"v":1,"position":"1","source":"x","event_time":"2026-02-30T00:00"}`: "",
	} {
		_, err := decodeEntry(Key{Org: orgA, Channel: "/c"}, []byte(value))
		switch {
		case err == nil:
			t.Errorf("%s is read without an error", value)
		case !strings.Contains(err.Error(), mention):
			t.Errorf("%s: error %q does not mention %q", value, err, mention)
		}
	}
	for _, value := range []string{`{"v":1,"org":"o"}`, `{"v":1,"token":"t"}`, `{"v":1,"org":"o","token":"t","x":1}`, `{"v":9,"org":"o","token":"t"}`} {
		if _, err := decodeBarrier([]byte(value)); err == nil {
			t.Errorf("%s is read without an error", value)
		}
	}
}

// FuzzDecodeEntry: whatever is read without an error says the same thing after
// it was written again, and has a position.
func FuzzDecodeEntry(f *testing.F) {
	files, err := filepath.Glob("testdata/*.json")
	if err != nil || len(files) == 0 {
		f.Fatal("no seeds", err)
	}
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Add([]byte(`{"v":1,"position":"1","source":"x","updated":"0001-01-01T00:00:00Z"}`))
	f.Add([]byte(`{"v":1,"position":"1","source":"x","updated":"9999-12-31T23:59:59.999-23:59"}`))
	k := Key{Org: orgA, Channel: "/c"}
	f.Fuzz(func(t *testing.T, value []byte) {
		e, err := decodeEntry(k, value)
		if err != nil {
			return
		}
		if e.Position == "" && e.Since.IsZero() {
			t.Fatalf("%s is read as an entry that says nothing", value)
		}
		again, err := decodeEntry(k, encodeEntry(e))
		if err != nil {
			t.Fatalf("%s is read as %+v, which cannot be read again: %v", value, e, err)
		}
		if again.Position != e.Position || !again.EventTime.Equal(e.EventTime) || !again.Since.Equal(e.Since) || !again.Seen.Equal(e.Seen) || !again.Updated.Equal(e.Updated) || again.Source != e.Source || again.Owner != e.Owner {
			t.Fatalf("%+v became %+v", e, again)
		}
	})
}

// FuzzEncodeEntry: any position comes back byte by byte.
func FuzzEncodeEntry(f *testing.F) {
	f.Add("1", "host", int64(0))
	f.Add("\xff\x00", "h\xff", int64(1<<40))
	k := Key{Org: orgA, Channel: "/c"}
	f.Fuzz(func(t *testing.T, position, owner string, ms int64) {
		if position == "" {
			return
		}
		const year9999 = 253402300799999
		e := Entry{Key: k, Position: Position(position), Owner: owner, Updated: time.UnixMilli(ms % year9999).UTC()}
		if e.Updated.Year() < 0 {
			return
		}
		got, err := decodeEntry(k, encodeEntry(e))
		if err != nil || got.Position != e.Position || !got.Updated.Equal(e.Updated) {
			t.Fatalf("%+v became %+v (%v)", e, got, err)
		}
	})
}
