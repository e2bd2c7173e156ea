package cli

import (
	"errors"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/sfbridge/bridge/cmd/bridge/internal/source/snapshot"
)

func TestReadSignal(t *testing.T) {
	streams := []string{"/data/AccountChangeEvent"}
	for name, tt := range map[string]struct {
		value     string
		partition int32
		wrong     string // what the stream's lane tells of it
		nobodys   string // of one that goes to no stream
	}{
		"a wish":              {value: `{"v":1,"type":"snapshot","channel":"/data/AccountChangeEvent","object":"Account"}`},
		"without an object":   {value: `{"v":1,"type":"snapshot","channel":"/data/AccountChangeEvent"}`, wrong: "it has no object"},
		"of another version":  {value: `{"v":2,"type":"snapshot","channel":"/data/AccountChangeEvent","object":"Account"}`, wrong: "version is 2"},
		"with an unknown key": {value: `{"v":1,"type":"snapshot","channel":"/data/AccountChangeEvent","object":"Account","limit":3}`, wrong: "limit"},
		"of another channel":  {value: `{"v":1,"type":"snapshot","channel":"/data/LeadChangeEvent","object":"Lead"}`, nobodys: `"/data/LeadChangeEvent"`},
		"no JSON":             {value: `snapshot please`, nobodys: "it is no signal"},
		"no channel":          {value: `{"v":1,"type":"snapshot"}`, nobodys: "its channel"},
		"in partition 1":      {value: `{"v":1,"type":"snapshot","channel":"/data/AccountChangeEvent","object":"Account"}`, partition: 1, nobodys: "partition 0 alone"},
	} {
		s, err := readSignal(&kgo.Record{Value: []byte(tt.value), Partition: tt.partition, Offset: 7}, streams)
		switch {
		case tt.nobodys != "":
			if err == nil || !strings.Contains(err.Error(), tt.nobodys) {
				t.Errorf("%s: %v, want %q", name, err, tt.nobodys)
			}
		case err != nil || s.Channel != streams[0] || s.Offset != 7:
			t.Errorf("%s: %+v, %v", name, s, err)
		case tt.wrong == "" && s.Wrong != nil, tt.wrong != "" && (s.Wrong == nil || !strings.Contains(s.Wrong.Error(), tt.wrong)):
			t.Errorf("%s: it is told to be wrong by %v, want %q", name, s.Wrong, tt.wrong)
		}
	}
}

// What the feed has is told only when the topic was read to its end, and from an
// offset on.
func TestSignalFeed(t *testing.T) {
	const a, b = "/data/AccountChangeEvent", "/data/LeadChangeEvent"
	var f signalFeed
	if _, next := f.From(a, 0); next != -1 {
		t.Errorf("before it is read the next is %d", next)
	}
	f.reset()
	changed := f.Changed()
	f.take(snapshot.Signal{Channel: a, Offset: 3})
	f.take(snapshot.Signal{Channel: b, Offset: 4})
	f.seen(6) // the end of a transaction
	select {
	case <-changed:
	default:
		t.Error("nobody is told")
	}
	if got, next := f.From(a, 0); got != nil || next != -1 {
		t.Errorf("before the end: %v, %d", got, next)
	}
	changed = f.Changed()
	f.done()
	<-changed
	f.take(snapshot.Signal{Channel: a, Offset: 6, Wrong: errors.New("no object")})
	for from, want := range map[int64]int{0: 2, 3: 2, 4: 1, 6: 1, 7: 0} {
		if got, next := f.From(a, from); len(got) != want || next != 7 {
			t.Errorf("from %d: %v, next %d", from, got, next)
		}
	}
	f.reset()
	if _, next := f.From(a, 0); next != -1 {
		t.Errorf("read anew the next is %d", next)
	}
}
